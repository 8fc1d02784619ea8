//! A copy of a stick's image and overlay, for whoever may want the unrefreshed stick back.

use gtk::gio;
use gtk::gio::prelude::*;
use gtk::glib;
use std::path::{Path, PathBuf};
use sugar_cellar::protocol::Status;

/// The files that make the stick what it is, below the folder `stick`; an image file is copied whole.
/// Looks at the disk: for a thread.
pub fn files(stick: &Path, status: &Status) -> Vec<PathBuf> {
    if stick.is_file() {
        return vec![stick.to_owned()];
    }
    let named = [Some(&status.image.file), status.overlay.file.as_ref()];
    named
        .into_iter()
        .flatten()
        .map(|file| stick.join(file))
        .collect()
}

/// Copies `files` into a new folder `name` in `place`; `progress` hears the part that is done.
/// Dropping the future ends it. What was copied of a failed copy is removed.
pub async fn keep(
    files: &[PathBuf],
    place: &gio::File,
    name: &str,
    progress: impl Fn(f64),
) -> Result<gio::File, glib::Error> {
    let folder = fresh(place, name).await?;
    let mut made = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let part = |fraction: f64| progress((number as f64 + fraction) / files.len() as f64);
        let Some(last) = file.file_name() else {
            continue;
        };
        let target = folder.child(last);
        made.push(target.clone());
        if let Err(error) = one(&gio::File::for_path(file), &target, part).await {
            for file in made {
                // The copy's own error is the one to tell.
                let _ = file.delete_future(glib::Priority::DEFAULT).await;
            }
            let _ = folder.delete_future(glib::Priority::DEFAULT).await;
            return Err(error);
        }
    }
    Ok(folder)
}

/// A folder that was not there before.
async fn fresh(place: &gio::File, name: &str) -> Result<gio::File, glib::Error> {
    let mut number = 1;
    loop {
        let named = if number == 1 {
            name.to_owned()
        } else {
            format!("{name} {number}")
        };
        let folder = place.child(named);
        match folder.make_directory_future(glib::Priority::DEFAULT).await {
            Err(error) if error.matches(gio::IOErrorEnum::Exists) && number < 1000 => number += 1,
            Err(error) => return Err(error),
            Ok(()) => return Ok(folder),
        }
    }
}

async fn one(from: &gio::File, to: &gio::File, part: impl Fn(f64)) -> Result<(), glib::Error> {
    let (copy, mut steps) = from.copy_future(to, gio::FileCopyFlags::NONE, glib::Priority::LOW);
    let follow = async {
        use futures_util::StreamExt;
        while let Some((done, total)) = steps.next().await {
            if total > 0 {
                part(done as f64 / total as f64);
            }
        }
    };
    let (result, ()) = futures_util::future::join(copy, follow).await;
    result
}
