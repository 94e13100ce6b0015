//! What only the operating system knows: whether this process was forked, and how to start a thread that takes no signals of the host.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;

use once_cell::sync::OnceCell;

use crate::error::{Code, Error, Result};

/// Which process this is since csw was loaded: changes in the child of a fork, and costs one read of memory to ask.
///
/// A page that the kernel wipes in children says whether a fork happened; asking for the process id would cost a system call each time.
///
/// # Errors
/// `Internal` where the kernel cannot wipe pages on fork (before Linux 4.14).
pub fn generation() -> Result<u64> {
    static PAGE: OnceCell<usize> = OnceCell::new();
    static GENERATIONS: AtomicU64 = AtomicU64::new(1);
    let page = *PAGE.get_or_try_init(wiped_on_fork)? as *const AtomicU32;
    // SAFETY: the page is mapped for as long as the process lives, aligned, and only ever touched as these two atomics.
    let (marked, generation) = unsafe { (&*page, &*page.add(2).cast::<AtomicU64>()) };
    if marked.load(Ordering::Acquire) == 0 {
        let next = GENERATIONS.fetch_add(1, Ordering::AcqRel);
        let _ = generation.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire);
        marked.store(1, Ordering::Release);
    }
    Ok(generation.load(Ordering::Acquire))
}

fn wiped_on_fork() -> Result<usize> {
    const LENGTH: usize = 4096;
    // SAFETY: a fresh private mapping of our own; nobody else knows it.
    let page = unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            LENGTH,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        (page != libc::MAP_FAILED && libc::madvise(page, LENGTH, libc::MADV_WIPEONFORK) == 0).then_some(page)
    };
    page.map(|page| page as usize).ok_or_else(|| {
        Error::new(Code::Internal, "the kernel cannot mark a page as wiped on fork; csw needs Linux 4.14")
    })
}

/// Takes the lock of one byte of a file, for as long as the file is open; false where somebody else has it.
pub fn lock(file: &File, byte: usize) -> bool {
    ask_for_lock(file, byte, libc::F_OFD_SETLK).is_some()
}

/// Whether somebody else has the lock of one byte of a file.
pub fn is_locked(file: &File, byte: usize) -> bool {
    ask_for_lock(file, byte, libc::F_OFD_GETLK).is_some_and(|range| range.l_type != libc::F_UNLCK as libc::c_short)
}

fn ask_for_lock(file: &File, byte: usize, command: libc::c_int) -> Option<libc::flock> {
    // SAFETY: a zeroed flock is a valid one; its pointer is only used during the call.
    unsafe {
        let mut range: libc::flock = std::mem::zeroed();
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        range.l_start = byte as libc::off_t;
        range.l_len = 1;
        (libc::fcntl(file.as_raw_fd(), command, &raw mut range) == 0).then_some(range)
    }
}

/// Starts a thread with all signals blocked: the host's signals stay the host's.
///
/// # Errors
/// `Store` when the system gives no thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    // SAFETY: both sets live on this stack; a zeroed sigset_t is storage that sigfillset fills and pthread_sigmask overwrites.
    let before = unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    // SAFETY: gives this thread back the mask that it had above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    thread.map_err(|cause| {
        Error::new(
            Code::Store,
            format!("the recorder's thread cannot start: {cause}; raise the limit of threads (HAProxy: set insecure-fork-wanted)"),
        )
    })
}

/// A counter that an event loop can wait for: readable once something was signalled.
#[derive(Debug)]
pub struct Signal(OwnedFd);

impl Signal {
    /// A fresh one, closed on exec, never blocking.
    ///
    /// # Errors
    /// `Store` when the process has no descriptor left.
    pub fn new() -> Result<Self> {
        // SAFETY: eventfd takes no pointer; a descriptor that it returns is ours alone.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            let cause = std::io::Error::last_os_error();
            return Err(Error::new(Code::Store, format!("no event descriptor can be made: {cause}")));
        }
        // SAFETY: just made, owned by nobody else.
        Ok(Signal(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes it readable.
    pub fn raise(&self) {
        let one: u64 = 1;
        // SAFETY: eight bytes of this stack. A full counter is readable already, so a failure loses nothing.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Its descriptor, which stays ours.
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_another_generation() {
        let parent = generation().unwrap();
        assert_eq!(generation().unwrap(), parent);
        // SAFETY: the child only reads memory and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let differs = generation().is_ok_and(|generation| generation != parent);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!differs)) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
        assert_eq!(generation().unwrap(), parent);
    }
}
