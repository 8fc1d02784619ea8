//! Notices sticks that are plugged in and pulled out.

use gtk::gio;
use gtk::gio::prelude::*;
use gtk::glib;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A stick settles: its partitions and mounts come one after another.
const SETTLE: Duration = Duration::from_millis(400);

/// Watches, as long as it lives.
#[derive(Debug)]
pub struct Volumes {
    _monitor: gio::VolumeMonitor,
}

impl Volumes {
    /// Calls `changed` shortly after anything came or went.
    pub fn watch(changed: impl Fn() + 'static) -> Volumes {
        let monitor = gio::VolumeMonitor::get();
        let changed = Rc::new(changed);
        let waiting: Rc<RefCell<Option<glib::SourceId>>> = Rc::default();
        let settle = move || {
            let (changed, inner) = (Rc::clone(&changed), Rc::clone(&waiting));
            let source = glib::timeout_add_local_once(SETTLE, move || {
                inner.take();
                changed();
            });
            if let Some(before) = waiting.replace(Some(source)) {
                before.remove();
            }
        };
        let settle = Rc::new(settle);
        macro_rules! on {
            ($($signal:ident),*) => { $({
                let settle = Rc::clone(&settle);
                monitor.$signal(move |_, _| settle());
            })* };
        }
        on!(
            connect_volume_added,
            connect_volume_removed,
            connect_mount_added,
            connect_mount_removed
        );
        on!(connect_drive_connected, connect_drive_disconnected);
        Volumes { _monitor: monitor }
    }
}

/// Unmounts the stick that holds `path`, and tells whether it may be pulled out.
///
/// A folder that is no mounted stick has nothing to unmount: `None`.
pub async fn release(path: &std::path::Path) -> Option<bool> {
    let mounts = gio::VolumeMonitor::get().mounts();
    let mount = mounts
        .into_iter()
        .find(|mount| mount.root().path().as_deref() == Some(path))?;
    let operation = gio::MountOperation::new();
    let released = if mount.can_eject() {
        mount
            .eject_with_operation_future(gio::MountUnmountFlags::NONE, Some(&operation))
            .await
    } else if mount.can_unmount() {
        mount
            .unmount_with_operation_future(gio::MountUnmountFlags::NONE, Some(&operation))
            .await
    } else {
        return None;
    };
    Some(released.is_ok())
}
