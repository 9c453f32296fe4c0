/** Codes of methods, responses and signals, each the one byte that is on the wire (RFC 7252 section 12.1, RFC 8132, RFC 8323 section 5). */
export const CODE = {
  EMPTY: 0,
  GET: 1,
  POST: 2,
  PUT: 3,
  DELETE: 4,
  FETCH: 5,
  PATCH: 6,
  IPATCH: 7,
  CREATED: 65,
  DELETED: 66,
  VALID: 67,
  CHANGED: 68,
  CONTENT: 69,
  CONTINUE: 95,
  BAD_REQUEST: 128,
  UNAUTHORIZED: 129,
  BAD_OPTION: 130,
  FORBIDDEN: 131,
  NOT_FOUND: 132,
  METHOD_NOT_ALLOWED: 133,
  NOT_ACCEPTABLE: 134,
  REQUEST_ENTITY_INCOMPLETE: 136,
  CONFLICT: 137,
  PRECONDITION_FAILED: 140,
  REQUEST_ENTITY_TOO_LARGE: 141,
  UNSUPPORTED_CONTENT_FORMAT: 143,
  UNPROCESSABLE_ENTITY: 150,
  TOO_MANY_REQUESTS: 157,
  INTERNAL_SERVER_ERROR: 160,
  NOT_IMPLEMENTED: 161,
  BAD_GATEWAY: 162,
  SERVICE_UNAVAILABLE: 163,
  GATEWAY_TIMEOUT: 164,
  PROXYING_NOT_SUPPORTED: 165,
  HOP_LIMIT_REACHED: 168,
  CSM: 225,
  PING: 226,
  PONG: 227,
  RELEASE: 228,
  ABORT: 229
} as const

/** Methods by request code; undefined for a code that names none. */
export const METHODS: readonly (string | undefined)[] = [undefined, 'GET', 'POST', 'PUT', 'DELETE', 'FETCH', 'PATCH', 'iPATCH']

/** The request code of a method, in any case, or undefined for one that CoAP does not have. */
export const codeOfMethod = (method: string): number | undefined => {
  const code = METHODS.findIndex(name => name?.toUpperCase() === method.toUpperCase())
  return code < 0 ? undefined : code
}

/** True for the methods that change nothing: they can be sent again, and be observed (RFC 7641 section 2, RFC 8132 section 2.4). */
export const isSafe = (code: number): boolean => code === CODE.GET || code === CODE.FETCH

/** The class of a code: 0 request, 2 success, 4 client error, 5 server error, 7 signalling. */
export const classOf = (code: number): number => code >> 5

/** The dotted form of a code, such as `2.05`. */
export const formatCode = (code: number): string => `${code >> 5}.${String(code & 31).padStart(2, '0')}`

/** Neutral statuses that CoAP has as c.dd with the same last two digits. */
const SAME_DIGITS = new Set([400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429, 500, 501, 502, 503, 504, 505, 508])

/** The response code that renders a neutral status as the answer to a request. */
export const codeOfStatus = (status: number, request: number): number => {
  if (status < 300) {
    if (status === 201) return CODE.CREATED
    if (request === CODE.DELETE) return CODE.DELETED
    return isSafe(request) ? CODE.CONTENT : CODE.CHANGED
  }
  if (status === 304) return CODE.VALID
  if (status === 410) return CODE.NOT_FOUND
  if (SAME_DIGITS.has(status)) return (Math.trunc(status / 100) << 5) | (status % 100)
  return status >= 400 && status < 500 ? CODE.BAD_REQUEST : CODE.INTERNAL_SERVER_ERROR
}

/** The neutral status of a response code; 2.04 is 204 unless it carries a payload. */
export const statusOfCode = (code: number, hasPayload: boolean): number => {
  switch (code) {
    case CODE.CREATED:
      return 201
    case CODE.DELETED:
      return 204
    case CODE.VALID:
      return 304
    case CODE.CHANGED:
      return hasPayload ? 200 : 204
    case CODE.CONTENT:
      return 200
    default:
      return (code >> 5) * 100 + (code & 31)
  }
}
