// The IRIs of the W3C Web of Things. Those of the bindings are drafts: they change here.

export const TD_CONTEXT = 'https://www.w3.org/2022/wot/td/v1.1'

/** Prefixes of the binding vocabularies. */
export const BINDING_PREFIXES: Readonly<Record<string, string>> = {
  htv: 'http://www.w3.org/2011/http#',
  cov: 'http://www.example.org/coap-binding#',
  mqv: 'http://www.example.org/mqtt-binding#'
}

/** Members of forms. */
export const HTTP_METHOD = 'htv:methodName'
export const COAP_METHOD = 'cov:method'
export const MQTT_PACKET = 'mqv:controlPacket'
export const MQTT_QOS = 'mqv:qos'
export const MQTT_RETAIN = 'mqv:retain'

/** Subprotocols of observing. */
export const SSE = 'sse'
export const COAP_OBSERVE = 'cov:observe'

export const TD_MEDIA_TYPE = 'application/td+json'
