//! A macro for typed tables of functions that are found by name at run time.

/// Declares a struct of function pointers. Those under `required` must all be
/// there for the table to exist; those under `optional` may be absent. A second
/// name after `or` is what the function was called before OpenSSL 1.1.0.
macro_rules! function_table {
    (
        $(#[$meta:meta])*
        pub struct $table:ident {
            required { $( $req:ident $(or $req_old:ident)? : fn($($req_arg:ty),* $(,)?) $(-> $req_ret:ty)?; )* }
            optional { $( $opt:ident $(or $opt_old:ident)? : fn($($opt_arg:ty),* $(,)?) $(-> $opt_ret:ty)?; )* }
        }
    ) => {
        $(#[$meta])*
        #[allow(non_snake_case)]
        pub struct $table {
            $( pub $req: unsafe extern "C-unwind" fn($($req_arg),*) $(-> $req_ret)?, )*
            $( pub $opt: Option<unsafe extern "C-unwind" fn($($opt_arg),*) $(-> $opt_ret)?>, )*
        }

        impl $table {
            /// Fills the table. None if a required function is absent.
            ///
            /// # Safety
            /// What `find` returns for a name must be the function of that name
            /// of an OpenSSL-like library that stays loaded.
            #[allow(unused_variables)]
            pub unsafe fn load(
                find: &dyn Fn(&std::ffi::CStr) -> Option<std::ptr::NonNull<std::ffi::c_void>>,
            ) -> Option<Self> {
                #[cfg(feature = "faults")]
                let find = &|name: &std::ffi::CStr| {
                    let table = concat!(stringify!($table), "\0");
                    let table = std::ffi::CStr::from_bytes_with_nul(table.as_bytes());
                    super::fault::function(table.unwrap_or_default(), name, find(name))
                };
                macro_rules! look_up {
                    ($name:ident) => {
                        find(
                            const {
                                match std::ffi::CStr::from_bytes_with_nul(
                                    concat!(stringify!($name), "\0").as_bytes(),
                                ) {
                                    Ok(name) => name,
                                    Err(_) => panic!("a name with a NUL"),
                                }
                            },
                        )
                    };
                }
                Some(Self {
                    $( $req: {
                        let found = look_up!($req) $( .or_else(|| look_up!($req_old)) )?;
                        // SAFETY: the caller vouches that it is this function;
                        // the type is what the OpenSSL headers declare.
                        unsafe { std::mem::transmute::<
                            *mut std::ffi::c_void,
                            unsafe extern "C-unwind" fn($($req_arg),*) $(-> $req_ret)?,
                        >(found?.as_ptr()) }
                    }, )*
                    $( $opt: {
                        let found = look_up!($opt) $( .or_else(|| look_up!($opt_old)) )?;
                        // SAFETY: as for the required ones.
                        found.map(|found| unsafe { std::mem::transmute::<
                            *mut std::ffi::c_void,
                            unsafe extern "C-unwind" fn($($opt_arg),*) $(-> $opt_ret)?,
                        >(found.as_ptr()) })
                    }, )*
                })
            }
        }
    };
}

pub(crate) use function_table;
