import { REASON } from '../codec/reason-codes.ts'

/** The reason code of PUBACK and PUBREC for a handler's status (MQTT 5 section 3.4.2.1). */
export function publishReasonOf(status: number): number {
  if (status < 300) return REASON.SUCCESS
  // A redirection has no form here: the message was not handled.
  if (status < 400) return REASON.IMPLEMENTATION_SPECIFIC_ERROR
  switch (status) {
    case 400:
    case 415:
    case 422:
      return REASON.PAYLOAD_FORMAT_INVALID
    case 401:
    case 403:
      return REASON.NOT_AUTHORIZED
    case 404:
    case 405:
    case 414:
      return REASON.TOPIC_NAME_INVALID
    case 409:
    case 412:
      return REASON.IMPLEMENTATION_SPECIFIC_ERROR
    case 413:
      return REASON.PACKET_TOO_LARGE
    case 429:
    case 431:
    case 503:
      return REASON.QUOTA_EXCEEDED
    default:
      return REASON.UNSPECIFIED_ERROR
  }
}

/** True for an answer that denies access: 401, 403, and a redirection, such as to a login. */
export const isRefusal = (status: number): boolean => status === 401 || status === 403 || (status >= 300 && status < 400)

/** True if a client of MQTT 3, which has no reason codes, gets a plain acknowledgement for this status. */
export function acknowledgesFailure(status: number, refusal: 'close' | 'acknowledge'): boolean {
  if (status === 401 || status === 403) return refusal === 'acknowledge'
  return status < 500 && status !== 408 && status !== 413 && status !== 429 && status !== 431
}

/** True for a temporary failure: the next request may succeed. */
export const isPassing = (status: number): boolean => status >= 500 || status === 429

/** The code of CONNACK for the status of a CONNECT: a reason code (MQTT 5 section 3.2.2.2), or a return code before that (3.1.1 section 3.2.2.3). */
export function connectReasonOf(status: number, version: number): number {
  switch (status) {
    case 400:
      return version < 5 ? REFUSED_NOT_AUTHORIZED : REASON.UNSPECIFIED_ERROR
    case 401:
      return version < 5 ? REFUSED_BAD_USER_NAME_OR_PASSWORD : REASON.BAD_USER_NAME_OR_PASSWORD
    case 403:
      return version < 5 ? REFUSED_NOT_AUTHORIZED : REASON.NOT_AUTHORIZED
    case 429:
      return version < 5 ? REFUSED_SERVER_UNAVAILABLE : REASON.CONNECTION_RATE_EXCEEDED
    case 503:
      return version < 5 ? REFUSED_SERVER_UNAVAILABLE : REASON.SERVER_UNAVAILABLE
    default:
      return version < 5 ? (status >= 500 ? REFUSED_SERVER_UNAVAILABLE : REFUSED_NOT_AUTHORIZED) : REASON.UNSPECIFIED_ERROR
  }
}

/** Return codes of MQTT 3.1.1 (section 3.2.2.3). */
export const REFUSED_PROTOCOL_VERSION = 1
export const REFUSED_CLIENT_IDENTIFIER = 2
const REFUSED_SERVER_UNAVAILABLE = 3
const REFUSED_BAD_USER_NAME_OR_PASSWORD = 4
const REFUSED_NOT_AUTHORIZED = 5

/** The reason code of SUBACK for the status of a SUBSCRIBE, or of the GET that follows it; before MQTT 5 there is one for all (3.1.1 section 3.9.3). */
export function subscribeReasonOf(status: number, version: number): number {
  if (version < 5) return REASON.UNSPECIFIED_ERROR
  if (isRefusal(status)) return REASON.NOT_AUTHORIZED
  switch (status) {
    case 400:
      return REASON.TOPIC_FILTER_INVALID
    case 429:
      return REASON.QUOTA_EXCEEDED
    default:
      return REASON.UNSPECIFIED_ERROR
  }
}
