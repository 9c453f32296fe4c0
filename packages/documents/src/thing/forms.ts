import type { Address } from '../model/addresses.ts'
import type { Description } from '../model/description.ts'
import { JSON_TYPE } from '../model/media-types.ts'
import type { PathTemplate } from '../model/path-template.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { COAP_METHOD, COAP_OBSERVE, HTTP_METHOD, MQTT_PACKET, MQTT_QOS, MQTT_RETAIN, SSE } from './vocabulary.ts'

/** What a form is for. */
export interface FormPurpose {
  readonly op: string | readonly string[]
  readonly method: string
  /** True for observing, and for events. */
  readonly observes: boolean
  readonly contentType: string
  /** Names of query parameters. */
  readonly query: readonly string[]
  readonly security: { readonly security?: readonly string[] }
}

/** The forms of one purpose: one for each address at which it can be had. */
export const formsOf = (template: PathTemplate, purpose: FormPurpose, { addresses, base, statePrefix }: Description): readonly JsonSchema[] => {
  const path = base + uriTemplateOf(template)
  const query = purpose.query.length > 0 ? `{?${purpose.query.join(',')}}` : ''
  const forms = addresses.flatMap(address => {
    if (address.protocol === 'mqtt') return mqttForm(address, path, purpose, statePrefix)
    return [
      { href: `${address.url}${path}${query}`, ...common(purpose), ...(address.protocol === 'http' ? httpMembers(purpose) : coapMembers(purpose)) }
    ]
  })
  const isHeard = addresses.some(({ protocol }) => protocol !== 'mqtt')
  // An address that is not known yet is that of the document.
  return forms.length > 0 || isHeard ? forms : [{ href: `${path}${query}`, ...common(purpose), ...httpMembers(purpose) }]
}

const common = ({ op, contentType, security }: FormPurpose): JsonSchema => ({
  op,
  contentType: contentType === '*/*' ? JSON_TYPE : contentType,
  ...security
})

const httpMembers = ({ observes, method }: FormPurpose): JsonSchema => (observes ? { subprotocol: SSE } : { [HTTP_METHOD]: method })

const coapMembers = ({ observes, method }: FormPurpose): JsonSchema => ({
  [COAP_METHOD]: method,
  ...(observes ? { subprotocol: COAP_OBSERVE } : undefined)
})

/** GET is a subscription, whose first message is the state; PUT is a publication. Other methods need a user property, which forms cannot say. */
const mqttForm = ({ url }: Address, path: string, purpose: FormPurpose, statePrefix: string | undefined): readonly JsonSchema[] => {
  if (purpose.method !== 'GET' && purpose.method !== 'PUT') return []
  if (!/^mqtts?:/.test(url) || path === '/') return []
  const isRead = purpose.method === 'GET'
  const prefix = isRead && statePrefix !== undefined ? `/${statePrefix}` : ''
  return [
    {
      href: `${url}${prefix}${path}`,
      ...common(purpose),
      [MQTT_PACKET]: isRead ? 'subscribe' : 'publish',
      [MQTT_QOS]: '1',
      ...(isRead ? { [MQTT_RETAIN]: true } : undefined)
    }
  ]
}

/** A URI template (RFC 6570): a tail is expanded with its slashes. */
const uriTemplateOf = ({ text, parameters }: PathTemplate): string =>
  parameters.reduce((template, { name, tail }) => (tail ? template.replace(`{${name}}`, `{+${name}}`) : template), text)
