//! Sans-IO SMTP: lines, commands, parameters, replies, transparency, SASL, and the client's side.
