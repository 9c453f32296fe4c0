import { speaks } from '../model/addresses.ts'
import { type Description, describedOperations } from '../model/description.ts'
import type { Operation } from '../model/operation.ts'
import { PROBLEM } from '../openapi/shared.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { addEventStream, addTopic } from './channels.ts'
import { AsyncApiState } from './state.ts'

/** The version of AsyncAPI that is written. */
const ASYNCAPI_VERSION = '3.0.0'

/**
 * Makes an AsyncAPI document, a path at a time, as the app sees it: it sends states to subscribers, and receives requests. Topics of MQTT; the event
 * streams of HTTP for an app without MQTT.
 */
export const asyncapiDocument = function* (description: Description): Generator<void, JsonSchema> {
  const { transports, addresses, info } = description
  const isMqtt = speaks(transports, addresses, 'mqtt') || !speaks(transports, addresses, 'http')
  const state = new AsyncApiState(description, isMqtt)
  if (isMqtt) state.components.add(PROBLEM, 'Problem', 'problems')
  const paths = new Map<string, Operation[]>()
  for (const operation of describedOperations(description, state.omissions)) {
    const known = paths.get(operation.template.shape)
    if (known === undefined) paths.set(operation.template.shape, [operation])
    else known.push(operation)
    yield
  }
  for (const operations of paths.values()) {
    if (isMqtt) addTopic(operations, state)
    else addEventStream(operations, state)
    yield
  }
  const { servers, channels, operations } = state
  return {
    asyncapi: ASYNCAPI_VERSION,
    info,
    defaultContentType: 'application/json',
    ...(Object.keys(servers).length > 0 ? { servers } : undefined),
    channels,
    operations,
    components: state.members(),
    ...state.omissions.member()
  }
}
