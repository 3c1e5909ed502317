//! The images that hosts have.

use std::collections::BTreeSet;

use diesel::prelude::*;
use zun_common::id::{Epoch, HostName};

use zun_common::rpc::host::MOST_IMAGES;

use super::change::check_epoch;
use crate::db::schema::host_images::{self, dsl};
use crate::db::{Conn, DbError, lock, transaction};

#[derive(Insertable)]
#[diesel(table_name = host_images)]
struct NewRow<'a> {
    host: &'a str,
    image: &'a str,
}

/// The row of a host whose list is complete: agents report a limited number of images.
const COMPLETE: &str = "";

/// Stores the images of a host in place of those before. Returns whether the epoch is the host's current one.
pub(crate) fn set_images(
    conn: &mut Conn,
    (host, epoch): (&HostName, Epoch),
    images: &BTreeSet<String>,
) -> Result<bool, DbError> {
    transaction(conn, |conn| {
        lock::host(conn, host.as_str())?;
        if check_epoch(conn, host, epoch)?.is_none() {
            return Ok(false);
        }
        let of_host = || dsl::host_images.filter(dsl::host.eq(host.as_str()));
        let before: Vec<String> = of_host().select(dsl::image).load(conn)?;
        let before: BTreeSet<String> = before.into_iter().collect();
        let mut images = images.clone();
        if images.len() < MOST_IMAGES {
            images.insert(COMPLETE.to_owned());
        }
        let gone: Vec<&String> = before.difference(&images).collect();
        if !gone.is_empty() {
            diesel::delete(of_host().filter(dsl::image.eq_any(gone))).execute(conn)?;
        }
        for image in images.difference(&before) {
            let row = NewRow { host: host.as_str(), image };
            diesel::insert_into(dsl::host_images).values(row).execute(conn)?;
        }
        Ok(true)
    })
}

/// The names of the hosts of which all images are known.
pub(crate) fn with_all_known(conn: &mut Conn) -> Result<BTreeSet<String>, DbError> {
    with_image(conn, COMPLETE)
}

/// The names of the hosts that have an image.
pub(crate) fn with_image(conn: &mut Conn, image: &str) -> Result<BTreeSet<String>, DbError> {
    let hosts = dsl::host_images.filter(dsl::image.eq(image)).select(dsl::host);
    Ok(hosts.load::<String>(conn)?.into_iter().collect())
}

/// Deletes the images of a host.
pub(super) fn forget_images(conn: &mut Conn, host: &HostName) -> Result<(), DbError> {
    diesel::delete(dsl::host_images.filter(dsl::host.eq(host.as_str()))).execute(conn)?;
    Ok(())
}
