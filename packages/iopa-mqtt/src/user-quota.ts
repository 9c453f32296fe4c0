/** What one user may have in a broker at most; what is left out is bounded by the user's share alone. */
export interface UserQuota {
  /** Sessions, connected or not. */
  readonly sessions?: number
  /** Subscriptions of all sessions. */
  readonly subscriptions?: number
  /** Retained messages, and their bytes. */
  readonly retained?: number
  readonly retainedBytes?: number
  /** Bytes that wait in the queues of all sessions. */
  readonly queuedBytes?: number
}

/**
 * Quotas by user id, or a function that gives them. For clients without a user it is called with null and their network: an address of
 * IPv4, or the first 64 bits of one of IPv6, such as `2001:db8:0:1::/64`. Its answers are asked for again every ten seconds.
 */
export type QuotaOption = Readonly<Record<string, UserQuota>> | ((user: string | null, network: string) => UserQuota | undefined)
