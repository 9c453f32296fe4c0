/** Numbers of the options that OSCORE treats in a way of their own. */
export const OPTION = {
  URI_HOST: 3,
  OBSERVE: 6,
  URI_PORT: 7,
  OSCORE: 9,
  URI_PATH: 11,
  MAX_AGE: 14,
  URI_QUERY: 15,
  HOP_LIMIT: 16,
  PROXY_URI: 35,
  PROXY_SCHEME: 39,
  ECHO: 252,
  NO_RESPONSE: 258
} as const

/** Codes of requests and responses, and the outer ones of protected messages (RFC 8613 sections 4.2 and 4.1.3.5). */
export const CODE = {
  POST: 0x02,
  FETCH: 0x05,
  CHANGED: 0x44,
  CONTENT: 0x45,
  BAD_REQUEST: 0x80,
  UNAUTHORIZED: 0x81,
  BAD_OPTION: 0x82,
  SERVICE_UNAVAILABLE: 0xa3
} as const
