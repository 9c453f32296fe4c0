/** Default port of each scheme, without its colon (RFC 9110, 7252, 8323; MQTT as registered with IANA; tcp and udp have none). */
export const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  http: 80,
  https: 443,
  ws: 80,
  wss: 443,
  coap: 5683,
  coaps: 5684,
  'coap+tcp': 5683,
  'coaps+tcp': 5684,
  mqtt: 1883,
  mqtts: 8883
}

/** The scheme of a URL or of a key, without the colon. */
export const schemeOf = (value: string): string => {
  const colon = value.indexOf(':')
  return colon < 0 ? value : value.slice(0, colon)
}
