//! One test binary for everything that crosses a crate boundary.

#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod core_vectors;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod network;
#[cfg(test)]
mod rpc;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tidy;
