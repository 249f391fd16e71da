//! OAuth as messages: requests built, responses parsed, errors classified; it opens no socket
