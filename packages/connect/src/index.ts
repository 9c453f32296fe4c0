/** Express middleware in an IOPA app, and an IOPA app as a Node request handler. */

export {}
