"""A cache on a local disk for a store that is slower: sparse mirrors of objects, shared by the processes of a node."""
