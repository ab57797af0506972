"""One shard as it is written: its arrays, the shard while it is open, and what is known of it afterwards."""
