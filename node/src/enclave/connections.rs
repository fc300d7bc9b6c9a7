//! A listener that bounds how many connections are open, also from one address, and how long one
//! may stay silent.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// How long a connection may send nothing: in the middle of a request, or between two.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// After an error of the operating system's (as too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts a bounded number of connections at a time; others wait in the system's queue. One address
/// may have a quarter of them, which is enough for a proxy in front of many; more are closed.
pub(super) struct BoundedListener {
    inner: TcpListener,
    connections: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

impl BoundedListener {
    pub(super) fn new(inner: TcpListener, connections_max: usize) -> Self {
        Self {
            inner,
            connections: Arc::new(Semaphore::new(connections_max)),
            addresses: Arc::new(Addresses {
                each_max: connections_max.div_ceil(4),
                open: Mutex::default(),
            }),
        }
    }
}

/// How many connections are open from each address.
struct Addresses {
    each_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection of an address; it counts until this is dropped.
struct Counted {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Counts a connection from `address`, unless it has too many.
    fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let address = whole(address);
        let mut open = self.open.lock();
        let count = open.entry(address).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Counted { addresses: Arc::clone(self), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// What one host can choose from at will counts as one: the 64 bits that end an address of version
/// 6. One of version 4 is the same in either form.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                // Never closed: the semaphore lives as long as the listener.
                std::future::pending::<()>().await;
                continue;
            };
            match self.inner.accept().await {
                Ok((stream, address)) => {
                    let Some(counted) = self.addresses.count(address.ip()) else { continue };
                    let _ = stream.set_nodelay(true);
                    let silence = Box::pin(sleep(SILENCE_MAX));
                    let permits = (permit, counted);
                    return (Connection { stream, silence, _permits: permits }, address);
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends when it is silent for too long.
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _permits: (OwnedSemaphorePermit, Counted),
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            this.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            return Poll::Ready(result);
        }
        match this.silence.as_mut().poll(context) {
            Poll::Ready(()) => {
                this.silence = Box::pin(sleep_until(Instant::now() + SILENCE_MAX));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_counts_once_whatever_its_address() {
        let addresses = Arc::new(Addresses { each_max: 1, open: Mutex::default() });
        let count = |address: &str| addresses.count(address.parse().unwrap());
        let held = (count("10.0.0.1"), count("2001:db8::1"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(count("::ffff:10.0.0.1").is_none() && count("2001:db8::ffff:1").is_none());
        assert!(count("10.0.0.2").is_some() && count("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(addresses.open.lock().is_empty());
        assert!(count("10.0.0.1").is_some());
    }
}
