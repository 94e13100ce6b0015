//! A secret: never shown, kept in a page of its own that no core file holds, and wiped when it is let go.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// More bytes than any secret has: one page of memory.
const ROOM: usize = 4096;

/// A secret; its copies share one place.
#[derive(Clone)]
pub struct Secret(Arc<Page>);

impl Secret {
    /// Reads a file straight into the secret's own page: nothing of it passes through memory that core files hold. White space around it is
    /// none of it.
    ///
    /// # Errors
    /// What the system says; `InvalidData` when it is longer than any secret.
    pub fn read(path: &Path) -> io::Result<Self> {
        let (mut file, mut page) = (File::open(path)?, Page::new()?);
        let mut length = 0;
        loop {
            match file.read(&mut page.room()[length..]) {
                Ok(0) if length < ROOM => break,
                Ok(0) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long for a secret")),
                Ok(more) => length += more,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        page.keep(length);
        Ok(Secret(Arc::new(page)))
    }

    /// A secret that stands elsewhere, too, such as in the environment.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub fn copy(bytes: &[u8]) -> io::Result<Self> {
        let mut page = Page::new()?;
        let room = page.room().get_mut(..bytes.len()).filter(|room| room.len() < ROOM);
        room.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is too long for a secret"))?
            .copy_from_slice(bytes);
        page.keep(bytes.len());
        Ok(Secret(Arc::new(page)))
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// A page of memory, of which some bytes are the secret.
struct Page {
    start: NonNull<u8>,
    from: usize,
    to: usize,
}

// SAFETY: the page is this value's alone, and once it is shared it is only read.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    fn new() -> io::Result<Self> {
        // SAFETY: a fresh private mapping of our own; nobody else knows it. A kernel that cannot leave it out of core files keeps secrets all
        // the same.
        let start = unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let start = libc::mmap(std::ptr::null_mut(), ROOM, access, kind, -1, 0);
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            libc::madvise(start, ROOM, libc::MADV_DONTDUMP);
            start
        };
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Page { start, from: 0, to: 0 })
    }

    fn room(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is that long, zeroed when it was made, and borrowed as this value is.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), ROOM) }
    }

    /// The secret is what was read, without the white space around it.
    fn keep(&mut self, length: usize) {
        let read = &self.room()[..length];
        let (from, kept) = (length - read.trim_ascii_start().len(), read.trim_ascii().len());
        (self.from, self.to) = (from, from + kept);
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: both ends lie inside the mapping, which lives as long as this value.
        unsafe { slice::from_raw_parts(self.start.as_ptr().add(self.from), self.to - self.from) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, that long, and not used any more. The system hands out its memory wiped.
        unsafe { libc::munmap(self.start.as_ptr().cast(), ROOM) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_stands_between_white_space() {
        for (text, secret) in [(" the app's\tsecret\r\n", "the app's\tsecret"), ("", ""), (" \n", ""), ("x", "x")] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(Secret::read(file.path()).unwrap().as_ref(), secret.as_bytes(), "{text:?}");
            assert_eq!(Secret::copy(text.as_bytes()).unwrap(), Secret::read(file.path()).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn what_is_longer_than_a_page_is_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, fits) in [(ROOM - 1, true), (ROOM, false), (ROOM + 1, false)] {
            std::fs::write(file.path(), vec![b'x'; length]).unwrap();
            assert_eq!(Secret::read(file.path()).is_ok(), fits, "{length}");
            assert_eq!(Secret::copy(&vec![b'x'; length]).is_ok(), fits, "{length}");
        }
    }

    /// What the kernel says of the mapping that holds an address; `dd` is "do not dump".
    fn flags(address: *const u8) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let holds = |line: &str| {
            let (from, to) = line.split_once(' ')?.0.split_once('-')?;
            let number = |hex| usize::from_str_radix(hex, 16).ok();
            Some((number(from)?..number(to)?).contains(&address.addr()))
        };
        let mut lines = maps.lines().skip_while(|line| holds(line) != Some(true));
        lines.find(|line| line.starts_with("VmFlags:")).unwrap().to_owned()
    }

    #[test]
    fn no_core_file_holds_a_secret() {
        let secret = Secret::copy(b"the secret").unwrap();
        assert!(flags(secret.as_ref().as_ptr()).split(' ').any(|flag| flag == "dd"));
        let elsewhere = Box::new(0_u8);
        assert!(!flags(&raw const *elsewhere).split(' ').any(|flag| flag == "dd"));
    }
}
