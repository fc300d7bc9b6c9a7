//! The management contracts, through revm: what they do to a group, call by call. What nodes make
//! of it is tested with nodes.

mod compiled;
mod forks;
mod life_cycle;
mod members;
mod model;
mod ownership;
mod upgrade;
mod world;
