"""What leaves a room when it has ended: its summary, to a directory and to a webhook."""
