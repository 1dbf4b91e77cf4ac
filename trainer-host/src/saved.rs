//! How initializers, regularizers and constraints are saved with a model: those of the library by name, with their options.

/// The kinds of a trait that the library has, as an enum that serde reads and writes. The trait has `Any` above it.
macro_rules! saved_kinds {
    ($saved:ident of $trait:ident, $what:literal: $($kind:ident),+) => {
        /// One of the library's kinds, with its options.
        #[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
        pub(crate) enum $saved {
            $(
                #[allow(missing_docs)]
                $kind($kind),
            )+
        }

        impl $saved {
            /// What is to be saved of it; a sentence if the library does not have its kind.
            pub fn of(value: &dyn $trait) -> Result<Self, String> {
                let any: &dyn std::any::Any = value;
                $(
                    if let Some(&kind) = any.downcast_ref() {
                        return Ok(Self::$kind(kind));
                    }
                )+
                Err(format!(concat!("the ", $what, " {:?} is none of this library's, and only they can be saved"), value))
            }

            /// What was saved.
            pub fn shared(self) -> std::sync::Arc<dyn $trait> {
                match self {
                    $(Self::$kind(kind) => std::sync::Arc::new(kind),)+
                }
            }
        }
    };
}

pub(crate) use saved_kinds;
