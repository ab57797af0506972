"""Reading ahead: the stored bytes of coming blocks, fetched before anybody needs them."""
