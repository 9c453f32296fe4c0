import type { Capabilities, HeaderFields, Logger } from '@iopa/constants'

/** What is made when somebody asks for it. */
export class Parts {
  headers: HeaderFields | null = null
  contentType: string | undefined = undefined
  bytes: Uint8Array | Promise<Uint8Array> | null = null
  /** The bytes of the body as a stream, and the bytes that they are of. */
  json: Promise<unknown> | null = null
  host: string | undefined = undefined
  port: number | undefined = undefined
  segments: readonly string[] | null = null
  segmentsOf = ''
  capabilities: Capabilities | null = null
  events: EventTarget | null = null
  timestamp = 0
  logger: Logger | null = null
  isPrecondition = false
  /** The path base of the context in which a child was made. */
  requestedBase = ''
}
