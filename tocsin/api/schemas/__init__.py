"""What goes in and out over REST, as JSON Schema 2020-12. Data and pure functions; the OpenAPI document is made of them."""
