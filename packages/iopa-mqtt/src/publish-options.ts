/** What a message that the app publishes may say beside its payload; properties go out with MQTT 5 alone. */
export interface PublishOptions {
  /** 0 unless given. */
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly contentType?: string
  /** Seconds. */
  readonly messageExpiryInterval?: number
  /** True says that the payload is UTF-8. */
  readonly payloadFormatIndicator?: boolean
  readonly userProperties?: Readonly<Record<string, string | readonly string[]>>
  /** Gives up waiting, where there is something to wait for: a connection, or the answer of another broker. */
  readonly signal?: AbortSignal
}
