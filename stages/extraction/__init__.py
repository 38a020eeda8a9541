"""From recordings to a store: finding recordings, planning the missing cells, and computing them."""
