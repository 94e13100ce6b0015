//! A file of whole pages that all processes of the host have mapped: numbers that they share without a lock.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// The bytes of a page.
const PAGE: usize = 4096;
/// The numbers of a page.
pub(super) const NUMBERS: usize = PAGE / size_of::<AtomicU64>();

/// Pages of numbers, all 0 at first.
pub(super) struct SharedPages {
    memory: NonNull<[AtomicU64; NUMBERS]>,
    pages: usize,
}

// SAFETY: what lies behind the pointer is atomics alone, mapped until the last owner is dropped.
unsafe impl Send for SharedPages {}
// SAFETY: as above.
unsafe impl Sync for SharedPages {}

impl SharedPages {
    /// Maps a file, which is made if it is not there. Its place on the disk is taken at once: to touch a page without one would end the process.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path, pages: usize) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o660);
        let file = options.open(path)?;
        if file.metadata()?.len() == 0 {
            // Whatever the host's umask: the folder decides who shares it.
            let _ = file.set_permissions(std::fs::Permissions::from_mode(0o660));
        }
        let length = libc::off_t::try_from(pages * PAGE).map_err(io::Error::other)?;
        // SAFETY: takes no pointer.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => Self::map(pages, libc::MAP_SHARED, file.as_raw_fd()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Pages of this process alone.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn private(pages: usize) -> io::Result<Self> {
        Self::map(pages, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn map(pages: usize, flags: libc::c_int, file: libc::c_int) -> io::Result<Self> {
        // SAFETY: a fresh mapping of whole pages; the kernel keeps the file for as long as it is mapped.
        let memory = unsafe {
            libc::mmap(std::ptr::null_mut(), pages * PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, file, 0)
        };
        let memory =
            Some(memory).filter(|memory| *memory != libc::MAP_FAILED).and_then(|memory| NonNull::new(memory.cast()));
        memory.map(|memory| SharedPages { memory, pages }).ok_or_else(io::Error::last_os_error)
    }

    /// The pages.
    pub(super) fn pages(&self) -> &[[AtomicU64; NUMBERS]] {
        // SAFETY: so many pages are mapped, page by page aligned, and any bits are a valid number.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.pages) }
    }
}

impl Drop for SharedPages {
    fn drop(&mut self) {
        // SAFETY: mapped above with this length; nobody borrows from it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.pages * PAGE) };
    }
}
