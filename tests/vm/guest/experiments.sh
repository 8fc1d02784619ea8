# The experiments' steps as a learner does them on a booted stick. shellcheck shell=dash

# figure NAME: what the store holds once all is written; a commit may follow the sync by a moment.
figure() {
    sync
    sleep 1
    sync
    echo "figure $1: $(dmsetup status live-rw)"
}

# saved NAME BYTES: a picture; no part of it is like another. Durable at once, as programs save:
# what the system writes out by and by it may put into several places.
saved() {
    head -c "$2" /dev/urandom >/run/picture
    dd if=/run/picture of="$1" bs=1M conv=fsync status=none
}

# next_day: the system is started again.
next_day() {
    umount /mnt
    mount -o noatime /dev/mapper/live-rw /mnt
}

# experiments LARGE OFFSET BYTES: every step, as src/experiment.rs takes it. One letter of the
# file LARGE is changed; pictures have BYTES.
experiments() {
    home=/mnt/home/liveuser
    figure begin
    saved "$home/Pictures/Tree.jpg" "$3"
    figure save
    next_day
    mv "$home/Pictures/Tree.jpg" "$home/Pictures/Oak.jpg"
    figure rename
    next_day
    printf Q | dd of="/mnt/$1" bs=1 seek="$2" conv=notrunc status=none
    figure letter
    next_day
    # As an editor does it: a new file, durable, then it takes the old one's name.
    saved "$home/Pictures/.Oak.jpg" "$3"
    mv "$home/Pictures/.Oak.jpg" "$home/Pictures/Oak.jpg"
    figure new_copy
    next_day
    rm "$home/Pictures/Oak.jpg"
    figure delete
    # Not modelled; whether the places of what was deleted are taken is the kernel's choice.
    saved "$home/Pictures/House.jpg" "$3"
    figure save_again
    cp -r "$home/Documents" "$home/Documents (copy)"
    figure copy_folder
}
