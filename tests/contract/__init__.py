"""The contract of Apache Unomi's task API (UNOMI-878), sentence by sentence, against a real node process.

All that is asked goes through `client`, which is written from the contract's text alone and knows nothing of this server.
Where the server differs from the text on purpose, the test says what it does instead, and why.
"""
