//! A TCP or unix socket that is waited on in short steps.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, SockAddr, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use crate::config::Keepalive;

/// How long a wait may last before the caller is asked whether to go on.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// An open socket. Reads and writes give up with `WouldBlock` after one [`TICK`].
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connect; `go_on` is asked every [`TICK`] while the other side does not answer.
    pub(crate) fn connect<E: From<io::Error>>(
        address: &Address,
        keepalive: &Keepalive,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<Self, E> {
        let (domain, target) = match address {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = RawSocket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&target) {
            Err(error) if in_progress(&error) => {
                while !is_writable(socket.as_fd())? {
                    go_on()?;
                }
                socket.take_error()?.map_or(Ok(()), Err)?;
            }
            other => other?,
        }
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        match address {
            Address::Unix(_) => Ok(Self::Unix(socket.into())),
            Address::Tcp(_) => {
                socket.set_tcp_nodelay(true)?;
                keepalive.apply(&SockRef::from(&socket))?;
                Ok(Self::Tcp(socket.into()))
            }
        }
    }

    /// Read what is there without waiting; `WouldBlock` when nothing is.
    pub(crate) fn read_available(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.as_fd(), buffer, RecvFlags::DONTWAIT)?.1)
    }

    /// Have a read wait until `bytes` have come, or for `timeout` when fewer do; it then brings those, or `WouldBlock`.
    ///
    /// The kernel wakes a reader no sooner, which costs both sides less than to be woken for each packet.
    pub(crate) fn wait_for(&self, bytes: i32, timeout: Duration) -> io::Result<()> {
        SockRef::from(self).set_read_timeout(Some(timeout))?;
        let (descriptor, length) = (self.as_fd().as_raw_fd(), size_of_val(&bytes).try_into().unwrap_or(0));
        // SAFETY: the descriptor is open as long as `self` is, and the kernel reads `length` bytes of `bytes`.
        let done = unsafe {
            libc::setsockopt(descriptor, libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const bytes).cast(), length)
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// End both directions; a peer that waits learns of it.
    pub(crate) fn shutdown(&self) {
        // The other side may have been faster.
        let _gone = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(parts),
            Self::Unix(stream) => stream.write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Keepalive {
    fn apply(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if self.enabled {
            let mut parameters = TcpKeepalive::new();
            if let Some(idle) = self.idle {
                parameters = parameters.with_time(idle);
            }
            if let Some(interval) = self.interval {
                parameters = parameters.with_interval(interval);
            }
            if let Some(count) = self.count {
                parameters = parameters.with_retries(count);
            }
            socket.set_tcp_keepalive(&parameters)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(timeout) = self.user_timeout {
            socket.set_tcp_user_timeout(Some(timeout))?;
        }
        Ok(())
    }
}

/// Whether `error` only says that nothing could be done within a [`TICK`].
pub(crate) fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn in_progress(error: &io::Error) -> bool {
    // A unix socket whose queue is full says WouldBlock and would never become writable: that is a failure.
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

fn is_writable(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
