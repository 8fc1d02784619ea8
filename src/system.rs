//! The edge of calls that no safe wrapper offers: a loop device that is set up
//! in one step, what file a loop device holds, programs that end with us, and the person's locale.
//!
//! Numbers and shapes of the loop calls are those of linux/loop.h.
#![allow(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd};
use rustix::ioctl::{self, Opcode};
use std::ffi::CStr;
use std::io;
use std::process::Command;

const LOOP_GET_STATUS64: Opcode = 0x4c05;
const LOOP_CONFIGURE: Opcode = 0x4c0a;

const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;

/// What a loop device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopStatus {
    /// The device number of the file system that the held file lies on.
    pub device: u64,
    /// The held file's inode number.
    pub inode: u64,
    /// The held file's own device number, where it is a device; else 0.
    pub own_device: u64,
}

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    own_device: u64,
    offset: u64,
    limit: u64,
    number: u32,
    encryption: u32,
    key_bytes: u32,
    flags: u32,
    name: [u8; 64],
    cipher: [u8; 64],
    key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    file: u32,
    /// 0: the kernel chooses.
    block_bytes: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);

/// Binds `file`, from byte `offset` on, to the unbound loop device `device` (LOOP_CONFIGURE,
/// Linux 5.8). `limit` is its greatest length in bytes; 0: to the file's end.
///
/// The device lets go of the file when the last one closes it. One call does
/// it all, so that there is no instant at which an end of this process would
/// leave the device bound.
pub fn loop_configure(
    device: impl AsFd,
    file: impl AsFd,
    offset: u64,
    limit: u64,
    read_only: bool,
) -> io::Result<()> {
    let number = file.as_fd().as_raw_fd();
    let config = LoopConfig {
        file: u32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?,
        block_bytes: 0,
        info: LoopInfo {
            device: 0,
            inode: 0,
            own_device: 0,
            offset,
            limit,
            number: 0,
            encryption: 0,
            key_bytes: 0,
            flags: AUTOCLEAR | if read_only { READ_ONLY } else { 0 },
            name: [0; 64],
            cipher: [0; 64],
            key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the number is LOOP_CONFIGURE's, which reads one `loop_config`; the struct has
    // its layout and size (asserted above), is initialised, and lives through the call.
    // `file` is borrowed, so its descriptor stays open as long.
    unsafe {
        let call = ioctl::Setter::<LOOP_CONFIGURE, LoopConfig>::new(config);
        ioctl::ioctl(device, call)?;
    }
    Ok(())
}

/// What a loop device holds; the error ENXIO says that it holds nothing.
pub fn loop_status(device: impl AsFd) -> io::Result<LoopStatus> {
    // SAFETY: the number is LOOP_GET_STATUS64's, which writes one `loop_info64`; the struct has
    // its layout and size, any bytes are a valid value of it, and it is read only on success.
    let info = unsafe {
        let call = ioctl::Getter::<LOOP_GET_STATUS64, LoopInfo>::new();
        ioctl::ioctl(device, call)?
    };
    Ok(LoopStatus {
        device: info.device,
        inode: info.inode,
        own_device: info.own_device,
    })
}

/// Has the kernel end the program that `command` starts when the thread that starts it ends,
/// kill -9 of the whole process included.
pub fn ends_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let ask = || {
        let signal = Some(rustix::process::Signal::KILL);
        Ok(rustix::process::set_parent_process_death_signal(signal)?)
    };
    // SAFETY: between fork and exec it makes one system call, takes no lock and no memory.
    unsafe { command.pre_exec(ask) };
}

/// Takes the language and the way to write numbers from the environment (setlocale(3)).
///
/// To be called at the start of `main`, before there is a second thread.
pub fn use_locale() {
    // SAFETY: called before any thread is started, and with no other user of the locale.
    let _ = unsafe { gettextrs::setlocale(gettextrs::LocaleCategory::LcAll, "") };
}

/// What stands between a number's whole and its decimals where the person lives.
pub fn decimal_mark() -> String {
    // SAFETY: nl_langinfo takes any item and gives a string with an end, valid until the locale
    // is changed, which happens only at the start.
    let mark = unsafe {
        let text = libc::nl_langinfo(libc::RADIXCHAR);
        if text.is_null() {
            return ".".to_owned();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    };
    if mark.is_empty() {
        ".".to_owned()
    } else {
        mark
    }
}
