//! Pages of a table, each read while the one before it is worked on.

use async_trait::async_trait;
use tokio::task::JoinHandle;

/// Reads a table's pages over a connection of its own.
#[async_trait]
pub(crate) trait Reader: Send + 'static {
    /// A row as the driver hands it over.
    type Row: Send;

    /// The rows after those that were read before; none after the last.
    async fn page(&mut self) -> Result<Vec<Self::Row>, sqlx::Error>;
}

type Read<R> = (R, Result<Vec<<R as Reader>::Row>, sqlx::Error>);

/// A reader that is a page ahead, on a task of its own.
pub(crate) enum Ahead<R: Reader> {
    /// It waits to be asked: before the first page, and after the last.
    Resting(R),
    /// It reads the next page.
    Reading(JoinHandle<Read<R>>),
    /// It ended with a panic, or was asked for a page and not waited for.
    Gone,
}

impl<R: Reader> Ahead<R> {
    /// The next rows; none after the last.
    pub(crate) async fn page(&mut self) -> Result<Vec<R::Row>, sqlx::Error> {
        let (reader, rows) = match std::mem::replace(self, Ahead::Gone) {
            Ahead::Resting(reader) => read(reader).await,
            Ahead::Reading(page) => page.await.map_err(|_| sqlx::Error::WorkerCrashed)?,
            Ahead::Gone => return Err(sqlx::Error::WorkerCrashed),
        };
        *self = match &rows {
            Ok(rows) if !rows.is_empty() => Ahead::Reading(tokio::spawn(read(reader))),
            _ => Ahead::Resting(reader),
        };
        rows
    }

    /// The reader itself, once the last page was read.
    pub(crate) fn resting(&mut self) -> Result<&mut R, sqlx::Error> {
        match self {
            Ahead::Resting(reader) => Ok(reader),
            _ => Err(sqlx::Error::WorkerCrashed),
        }
    }
}

async fn read<R: Reader>(mut reader: R) -> Read<R> {
    let rows = reader.page().await;
    (reader, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts down, a page of one row for each number, and fails at 13.
    struct Down(u8);

    #[async_trait]
    impl Reader for Down {
        type Row = u8;

        async fn page(&mut self) -> Result<Vec<u8>, sqlx::Error> {
            match self.0 {
                0 => Ok(Vec::new()),
                13 => Err(sqlx::Error::PoolClosed),
                number => {
                    self.0 -= 1;
                    Ok(vec![number])
                }
            }
        }
    }

    #[tokio::test]
    async fn pages_come_in_order_and_the_reader_rests_after_the_last() {
        let mut ahead = Ahead::Resting(Down(3));
        let mut seen = Vec::new();
        loop {
            let page = ahead.page().await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(ahead.resting().is_err(), "the next page is being read");
            seen.extend(page);
        }
        assert_eq!(seen, [3, 2, 1]);
        assert_eq!(ahead.resting().unwrap().0, 0);
        assert!(ahead.page().await.unwrap().is_empty(), "the end stays the end");
    }

    #[tokio::test]
    async fn a_page_that_can_not_be_read_is_told_when_it_is_asked_for() {
        let mut ahead = Ahead::Resting(Down(14));
        assert_eq!(ahead.page().await.unwrap(), [14]);
        assert!(matches!(ahead.page().await, Err(sqlx::Error::PoolClosed)));
    }
}
