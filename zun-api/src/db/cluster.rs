//! The cluster's ID. It is stored in the database, so it distinguishes a restored copy from another cluster's database.

use diesel::prelude::*;
use zun_common::environment::random_uuid;
use zun_common::id::ClusterId;

use super::column::parse;
use super::schema::cluster::dsl;
use super::{Conn, DbError};

/// Returns the cluster's ID, which the first call chooses. Fails as a duplicate if another transaction chooses it too.
pub(crate) fn id(conn: &mut Conn) -> Result<ClusterId, DbError> {
    let known: Option<String> = dsl::cluster.select(dsl::uuid).first(conn).optional()?;
    let text = if let Some(text) = known {
        text
    } else {
        let text = random_uuid().to_string();
        diesel::insert_into(dsl::cluster)
            .values((dsl::id.eq(1), dsl::uuid.eq(&text)))
            .execute(conn)?;
        text
    };
    parse("uuid", "cluster", &text)
}
