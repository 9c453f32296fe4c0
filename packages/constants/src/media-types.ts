/** Media types that the core writes or reads. */
export const MEDIA_TYPES = {
  Text: 'text/plain; charset=utf-8',
  Json: 'application/json',
  ProblemJson: 'application/problem+json',
  OctetStream: 'application/octet-stream',
  EventStream: 'text/event-stream'
} as const

/** The essence of a content type: `type/subtype` in lower case, without parameters; empty when there is none. */
export const mediaTypeEssence = (contentType: string): string => {
  const semicolon = contentType.indexOf(';')
  return (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase()
}
