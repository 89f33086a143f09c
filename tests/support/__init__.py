"""What several tests share: real server processes and clients."""
