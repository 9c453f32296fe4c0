/** Forms: urlencoded and multipart as streams, files to disk or to a handler. */

export {}
