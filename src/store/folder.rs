//! The folder of a store: its files with their modes, the lock that its processes hold, and the room on its disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};

/// How long another process may take to make the store.
const MADE_WITHIN: Duration = Duration::from_secs(10);

/// Makes the two files of an environment where they are not there yet. `lock_size` is the room of the table of readers.
///
/// # Errors
/// What the system says.
pub fn prepare_files(folder: &Path, lock_size: u64) -> io::Result<()> {
    prepare(&folder.join("data.mdb")).and_then(|()| prepare_lock(folder, lock_size))
}

/// Makes the second of them alone.
///
/// # Errors
/// What the system says.
pub fn prepare_lock(folder: &Path, lock_size: u64) -> io::Result<()> {
    let lock = folder.join("lock.mdb");
    prepare(&lock).and_then(|()| reserve(&lock, lock_size))
}

/// Makes a file that is not there yet, so that the folder's group may share it.
fn prepare(path: &Path) -> io::Result<()> {
    match OpenOptions::new().read(true).write(true).create_new(true).mode(0o660).open(path) {
        // Whatever the umask was: the folder decides who reaches the file.
        Ok(file) => file.set_permissions(fs::Permissions::from_mode(0o660)),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path).map(drop)
        }
        Err(cause) => Err(cause),
    }
}

/// A byte of `csw.lock`, given back when dropped. Closing the file would not do: a child of a fork may hold it open, too.
pub struct ProcessLock(File);

/// The byte of whoever makes the store: no process has the id 0.
const MAKER: libc::off_t = 0;

/// That nobody else makes the store meanwhile.
pub struct Making<'l>(&'l ProcessLock);

impl ProcessLock {
    /// Takes this process's byte of `csw.lock`. LMDB must not be opened twice in one process; a second copy of the library in it (or a process with
    /// the same id in another container) finds the byte taken.
    ///
    /// # Errors
    /// `Store` when the file cannot be used or the byte is taken.
    pub fn take(path: &Path) -> Result<Self> {
        let lock_path = path.join("csw.lock");
        let opened = prepare(&lock_path).and_then(|_| OpenOptions::new().read(true).write(true).open(&lock_path));
        let file = opened.map_err(|cause| unusable(path, "csw.lock cannot be opened", &cause))?;
        // SAFETY: takes no pointer.
        let process = libc::off_t::from(unsafe { libc::getpid() });
        if lock_byte(&file, libc::F_WRLCK, process, 1).is_ok() {
            return Ok(ProcessLock(file));
        }
        Err(Error::new(
            Code::Store,
            format!(
                "store {}: this process has it open already through another copy of csw (or a process with the same id in another container has); \
                 load csw once per process",
                path.display()
            ),
        ))
    }

    /// Waits for the others that make the store, for as long as they may take.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` when they take longer.
    pub fn makes(&self) -> io::Result<Making<'_>> {
        let until = Instant::now() + MADE_WITHIN;
        loop {
            match lock_byte(&self.0, libc::F_WRLCK, MAKER, 1) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                taken => return taken.map(|()| Making(self)),
            }
        }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let _ = lock_byte(&self.0.0, libc::F_UNLCK, MAKER, 1);
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        let _ = lock_byte(&self.0, libc::F_UNLCK, 0, 0);
    }
}

/// Takes or gives back so many bytes of a file, all of them from there on where it is none. It does not wait.
fn lock_byte(file: &File, what: libc::c_int, from: libc::off_t, count: libc::off_t) -> io::Result<()> {
    // SAFETY: a zeroed flock is a valid one; its pointer is only used during the call.
    let done = unsafe {
        let mut range: libc::flock = std::mem::zeroed();
        range.l_type = what as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        (range.l_start, range.l_len) = (from, count);
        libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut range)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many bytes the file system of a folder has left.
pub fn room(folder: &Path) -> Option<u64> {
    let folder = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: a zeroed statvfs is a valid one, which the call fills; both pointers live through it.
    unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(folder.as_ptr(), &raw mut found) == 0).then(|| found.f_bavail * found.f_frsize)
    }
}

/// Gives the table of readers its place on the disk. LMDB maps it sparse, and touching a page that the disk has no room for ends the process.
fn reserve(lock: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(lock)?;
    // SAFETY: takes no pointer.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size as libc::off_t) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// A fault of a store's folder.
pub fn unusable(path: &Path, what: &str, cause: &io::Error) -> Error {
    Error::new(Code::Store, format!("store {}: {what}: {cause}{}", path.display(), remedy(cause)))
}

/// What a fault of the system asks of the operator.
pub fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => "; give the folder and its files to the gateway's user or group",
        Some(libc::EROFS) => "; name a folder that can be written",
        Some(libc::EMFILE | libc::ENFILE) => "; raise the limit of open files",
        Some(libc::ENOSPC | libc::EDQUOT) => "; free some space",
        Some(libc::EIO) => "; check the disk, then restart the gateway",
        Some(libc::EAGAIN) => "; another process has been making the store for a while: look whether it hangs",
        _ => "",
    }
}
