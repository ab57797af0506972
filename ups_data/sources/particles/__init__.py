"""Files of moving particles."""
