import { membersOf } from '../model/members.ts'
import { isObservable, labelOf, type Operation } from '../model/operation.ts'
import { type PathTemplate, patternOf } from '../model/path-template.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { answerMessage, requestMessage } from './messages.ts'
import type { AsyncApiState } from './state.ts'

const MQTT_BINDING = { bindingVersion: '0.2.0' }

/** The topic of a path; topics are not percent-encoded. */
const topicOf = ({ parts }: PathTemplate): string =>
  parts
    .map(part => (typeof part === 'string' ? part : `{${part.name}}`))
    .join('')
    .slice(1)

/** Adds the topic of a path: requests come in on it; its state goes out on it, retained, or for a worker of a broker below the prefix of states. */
export const addTopic = (operations: readonly Operation[], state: AsyncApiState): void => {
  const [first] = operations as [Operation]
  const topic = topicOf(first.template)
  if (topic === '' || /[+#]/.test(topic.replace(/\{[^}]*\}/g, ''))) {
    state.omissions.add(first.template.text, 'no topic of MQTT has this name')
    return
  }
  const name = state.channelNames.take(channelName(first))
  const parameters = parametersOf(first, state)
  const read = operations.find(isObservable)
  const messages: Record<string, JsonSchema> = {}
  const replies: Record<string, JsonSchema> = {}
  for (const operation of operations) addRequest(operation, name, messages, replies, state)
  if (read !== undefined) {
    const sent = state.statePrefix === '' ? name : state.channelNames.take(`${name}State`)
    if (sent === name) messages['state'] = answerMessage(read, state)
    else state.channels[sent] = channel(`${state.statePrefix}${topic}`, read, parameters, { state: answerMessage(read, state) })
    addOperation(`observe${upper(name)}`, 'send', sent, ['state'], read, { qos: 1, retain: true }, state)
  } else {
    // Without GET each accepted message is delivered as it is.
    const put = operations.find(({ method }) => method === 'PUT')
    if (put !== undefined) addOperation(`relay${upper(name)}`, 'send', name, ['put'], put, { qos: 1, retain: false }, state)
  }
  state.channels[name] = channel(topic, first, parameters, messages)
  if (Object.keys(replies).length > 0) state.channels[`${name}Reply`] = { address: null, title: `Answers of ${topic}`, messages: replies }
}

/** Adds the event stream of a path, which any GET with `Accept: text/event-stream` begins. */
export const addEventStream = (operations: readonly Operation[], state: AsyncApiState): void => {
  const read = operations.find(isObservable)
  if (read === undefined) return
  const name = state.channelNames.take(channelName(read))
  state.channels[name] = channel(read.template.text, read, parametersOf(read, state), { state: answerMessage(read, state) })
  const operation = state.operationNames.take(`observe${upper(name)}`)
  state.operations[operation] = {
    action: 'send',
    channel: { $ref: `#/channels/${name}` },
    messages: [{ $ref: `#/channels/${name}/messages/state` }],
    ...state.security(read.security),
    bindings: { http: { method: 'GET', bindingVersion: '0.3.0' } }
  }
}

/** A request, answered to its Response Topic where it has one. */
const addRequest = (
  operation: Operation,
  name: string,
  messages: Record<string, JsonSchema>,
  replies: Record<string, JsonSchema>,
  state: AsyncApiState
): void => {
  const { method } = operation
  if (method === 'HEAD' || method === 'OPTIONS') return
  const key = method.toLowerCase()
  if (key in messages) {
    state.omissions.add(labelOf(operation), 'its topic differs from that of another route in names and constraints alone')
    return
  }
  messages[key] = requestMessage(operation, state)
  const answer = `${key}Answer`
  replies[answer] = answerMessage(operation, state)
  replies['problem'] ??= { title: 'Problem', contentType: 'application/problem+json', payload: { $ref: '#/components/schemas/Problem' } }
  const reply = {
    address: { location: '$message.header#/responseTopic', description: 'The Response Topic of the request.' },
    channel: { $ref: `#/channels/${name}Reply` },
    messages: [answer, 'problem'].map(message => ({ $ref: `#/channels/${name}Reply/messages/${message}` }))
  }
  addOperation(`${key}${upper(name)}`, 'receive', name, [key], operation, { qos: 1, retain: false }, state, reply)
}

const addOperation = (
  wanted: string,
  action: 'send' | 'receive',
  channelKey: string,
  messages: readonly string[],
  { title, description, security }: Operation,
  binding: { readonly qos: number; readonly retain: boolean },
  state: AsyncApiState,
  reply?: JsonSchema
): void => {
  state.operations[state.operationNames.take(wanted)] = {
    action,
    channel: { $ref: `#/channels/${channelKey}` },
    ...(title === undefined ? undefined : { title }),
    ...(description === undefined ? undefined : { description }),
    messages: messages.map(message => ({ $ref: `#/channels/${channelKey}/messages/${message}` })),
    ...state.security(security),
    ...(reply === undefined ? undefined : { reply }),
    bindings: { mqtt: { ...binding, ...MQTT_BINDING } }
  }
}

const channel = (address: string, { title, contract }: Operation, parameters: JsonSchema | undefined, messages: JsonSchema): JsonSchema => ({
  address,
  ...((contract?.title ?? title) === undefined ? undefined : { title: contract?.title ?? title }),
  ...(parameters === undefined ? undefined : { parameters }),
  messages
})

/** Parameters have no schema in AsyncAPI 3: what a value must look like stands in the description. */
const parametersOf = (operation: Operation, state: AsyncApiState): JsonSchema | undefined => {
  const { template, params, subject } = operation
  if (template.parameters.length === 0) return undefined
  const of = labelOf(operation)
  const members = membersOf(params, 'input', state.components, `${subject}Params`, of)
  return Object.fromEntries(
    template.parameters.map(parameter => {
      const schema = members.find(({ name }) => name === parameter.key)?.schema ?? {}
      const pattern = patternOf(parameter) ?? schema['pattern']
      if (parameter.tail)
        state.omissions.add(of, `'${parameter.name}' may take several levels of the topic, which a parameter of AsyncAPI cannot say`)
      const texts = [
        typeof schema['description'] === 'string' ? schema['description'] : undefined,
        typeof pattern === 'string' ? `Matches ${pattern}` : undefined,
        parameter.tail ? 'The rest of the topic.' : undefined
      ].filter(text => text !== undefined)
      const values = Array.isArray(schema['enum']) ? schema['enum'].filter(value => typeof value === 'string') : []
      return [
        parameter.name,
        {
          ...(texts.length > 0 ? { description: texts.join(' ') } : undefined),
          ...(values.length > 0 ? { enum: values } : undefined),
          ...(typeof schema['default'] === 'string' ? { default: schema['default'] } : undefined)
        }
      ]
    })
  )
}

const channelName = ({ subject }: Operation): string => subject[0]!.toLowerCase() + subject.slice(1)

const upper = (name: string): string => name[0]!.toUpperCase() + name.slice(1)
