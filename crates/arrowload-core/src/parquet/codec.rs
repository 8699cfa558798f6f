//! What pages are compressed with.

use arrow_schema::ArrowError;
use zstd::bulk::Compressor;

use crate::error::{KernelError, KernelResult};

/// parquet-cpp's default: the next ones are slower than what they save is worth.
const ZSTD_LEVEL: i32 = 1;

/// A codec with the memory that it needs from page to page.
pub(super) enum Codec {
    Uncompressed,
    Zstd { compressor: Compressor<'static>, page: Vec<u8> },
}

impl Codec {
    pub(super) fn zstd() -> KernelResult<Self> {
        let compressor = Compressor::new(ZSTD_LEVEL).map_err(failed)?;
        Ok(Self::Zstd { compressor, page: Vec::new() })
    }

    /// Its number in parquet.thrift.
    pub(super) fn id(&self) -> i32 {
        match self {
            Self::Uncompressed => 0,
            Self::Zstd { .. } => 6,
        }
    }

    /// Give back memory that only an unusually large page needed.
    pub(super) fn trim(&mut self, kept_bytes: usize) {
        if let Self::Zstd { page, .. } = self {
            page.clear();
            page.shrink_to(kept_bytes);
        }
    }

    pub(super) fn compress<'a>(&'a mut self, body: &'a [u8]) -> KernelResult<&'a [u8]> {
        match self {
            Self::Uncompressed => Ok(body),
            Self::Zstd { compressor, page } => {
                page.clear();
                page.reserve(zstd::zstd_safe::compress_bound(body.len()));
                compressor.compress_to_buffer(body, page).map_err(failed)?;
                Ok(page)
            }
        }
    }
}

fn failed(error: std::io::Error) -> KernelError {
    KernelError::Arrow(ArrowError::IoError("a page could not be compressed".to_owned(), error))
}
