"""Everything that is not the method: devices, files, pages, logs, the image pool."""
