"""What commands show: tables and lines, none of which a terminal cuts."""
