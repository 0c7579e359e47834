"""Number formats, one family a module: `integer`, `bitmod`, ...; a module's class of its own name is the format."""
