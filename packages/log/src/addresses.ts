/** Address and port of a peer as a line has them; undefined inside the process. */
export const peerOf = (address: string | undefined, port: number | undefined): string | undefined => {
  if (address === undefined || address === '') return undefined
  if (port === undefined || port === 0) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

const CLASSES: readonly (readonly [RegExp, string])[] = [
  [/^(?:127\.|::1$)/, 'loopback'],
  [/^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|f[cd][\da-f]{2}:|fe[89ab][\da-f]:)/i, 'private']
]

/** What kind of network an address is of. */
export const addressClass = (address: string | undefined): string => {
  if (address === undefined || address === '') return 'unknown'
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  return CLASSES.find(([pattern]) => pattern.test(plain))?.[1] ?? 'public'
}
