"""What every question stands on: namespaces with tuns in them, pinned programs, the interval, alternating rounds."""
