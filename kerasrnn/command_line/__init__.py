"""What the programs share: flags, help, presets, progress, exit statuses."""
