"""`--stress`: a random load in which all that is allowed happens, and a judge that knows every change of a row."""
