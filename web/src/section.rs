//! Read-model sections as component properties.
//!
//! A section that did not change keeps its `Arc`, so comparing pointers is enough to skip a rendering.

use std::{ops::Deref, sync::Arc};

use mycomesh_core::snapshot::Table;

/// A section of the snapshot; equal when it is the very same one.
pub struct Section<T>(pub Arc<T>);

impl<T> Clone for Section<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Section<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Deref for Section<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<&Arc<T>> for Section<T> {
    fn from(section: &Arc<T>) -> Self {
        Self(Arc::clone(section))
    }
}

/// One row of a table, shared instead of copied; equal when the row's content is.
pub struct Row<T> {
    table: Section<Table<T>>,
    index: usize,
}

impl<T> Row<T> {
    /// Every row of `table`.
    pub fn all(table: &Section<Table<T>>) -> impl Iterator<Item = Self> + '_ {
        (0..table.rows.len()).map(|index| Self { table: table.clone(), index })
    }
}

impl<T> Clone for Row<T> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), index: self.index }
    }
}

impl<T: PartialEq> PartialEq for Row<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.table == other.table && self.index == other.index) || **self == **other
    }
}

impl<T> Deref for Row<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.table.rows[self.index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[u8]) -> Section<Table<u8>> {
        Section(Arc::new(Table { rows: rows.to_vec(), total: rows.len() }))
    }

    #[test]
    fn a_section_equals_itself_only() {
        let one = table(&[1]);
        assert!(one == one.clone());
        assert!(one != table(&[1]));
    }

    #[test]
    fn a_row_equals_a_row_with_the_same_content() {
        let (old, new) = (table(&[1, 2]), table(&[1, 3]));
        let rows = |table| Row::all(table).collect::<Vec<_>>();
        assert!(rows(&old)[0] == rows(&new)[0]);
        assert!(rows(&old)[1] != rows(&new)[1]);
    }
}
