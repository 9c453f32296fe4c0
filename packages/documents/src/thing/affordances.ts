import type { Description } from '../model/description.ts'
import { answerTypesOf, JSON_TYPE } from '../model/media-types.ts'
import { membersOf } from '../model/members.ts'
import { UniqueNames } from '../model/names.ts'
import { Omissions } from '../model/omissions.ts'
import { isObservable, labelOf, type Operation } from '../model/operation.ts'
import { withPattern } from '../openapi/parameters.ts'
import { Components } from '../schemas/components.ts'
import { representationOf } from '../schemas/computed.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { mergePatchOf } from '../schemas/merge-patch.ts'
import { dataSchemaOf } from './data-schema.ts'
import { type FormPurpose, formsOf } from './forms.ts'
import { ThingSecurity } from './security.ts'

/** The interaction affordances of one Thing, while its description is made. */
export class Affordances {
  readonly properties: Record<string, JsonSchema> = {}
  readonly actions: Record<string, JsonSchema> = {}
  readonly events: Record<string, JsonSchema> = {}
  readonly omissions: Omissions = new Omissions()
  readonly security: ThingSecurity = new ThingSecurity()
  readonly #description: Description
  readonly #components: Components = new Components({ dialect: 'draft-07', prefix: '#/definitions/', omissions: this.omissions })
  readonly #names = new UniqueNames()

  constructor(description: Description) {
    this.#description = description
  }

  /** Adds the operations of one path: GET and PUT are a property, other methods are actions; a path that is only written is an event for subscribers. */
  add(operations: readonly Operation[]): void {
    const [first] = operations as [Operation]
    const name = this.#names.take(first.subject[0]!.toLowerCase() + first.subject.slice(1))
    const read = operations.find(({ method }) => method === 'GET')
    const write = operations.find(({ method }) => method === 'PUT')
    if (read !== undefined || write !== undefined) this.properties[name] = this.#property(read, write)
    if (read === undefined && write !== undefined) this.#addEvent(name, write)
    for (const operation of operations) if (!['GET', 'PUT', 'HEAD', 'OPTIONS'].includes(operation.method)) this.#addAction(operation)
  }

  #property(read: Operation | undefined, write: Operation | undefined): JsonSchema {
    const shown = (read ?? write) as Operation
    const observed = read !== undefined && isObservable(read)
    const forms = [
      ...(read === undefined ? [] : this.#forms(read, 'readproperty', answerTypesOf(read)[0] as string)),
      ...(read === undefined || !observed ? [] : this.#forms(read, ['observeproperty', 'unobserveproperty'], answerTypesOf(read)[0] as string, true)),
      ...(write === undefined ? [] : this.#forms(write, 'writeproperty', JSON_TYPE))
    ]
    return {
      ...(read === undefined ? this.#data(write?.input, 'input', shown) : this.#answer(read)),
      ...this.#texts(shown),
      ...this.#uriVariables([read, write].filter(operation => operation !== undefined)),
      readOnly: write === undefined,
      writeOnly: read === undefined,
      observable: observed,
      forms
    }
  }

  #addAction(operation: Operation): void {
    const { method, subject, input, contract } = operation
    const name = this.#names.take(method.toLowerCase() + subject)
    const isPatch = (method === 'PATCH' || method === 'iPATCH') && input === undefined && contract?.state !== undefined
    const data = isPatch ? mergePatchOf(this.#data(contract?.state, 'input', operation)) : this.#data(input, 'input', operation)
    const answer = this.#answer(operation)
    const forms = this.#forms(operation, 'invokeaction', isPatch ? 'application/merge-patch+json' : JSON_TYPE)
    if (forms.length === 0) return
    this.actions[name] = {
      ...this.#texts(operation),
      ...this.#uriVariables([operation]),
      ...(Object.keys(data).length > 0 ? { input: data } : undefined),
      ...(Object.keys(answer).length > 0 ? { output: answer } : undefined),
      safe: method === 'FETCH' || method === 'QUERY',
      idempotent: method !== 'POST' && method !== 'PATCH',
      forms
    }
  }

  /** Each accepted message of a path without GET goes to the subscribers of its topic. */
  #addEvent(name: string, write: Operation): void {
    const forms = this.#forms({ ...write, method: 'GET' }, ['subscribeevent', 'unsubscribeevent'], JSON_TYPE, true).filter(({ href }) =>
      /^mqtts?:/.test(String(href))
    )
    if (forms.length === 0) return
    const data = this.#data(write.input, 'input', write)
    this.events[name] = { ...this.#texts(write), ...this.#uriVariables([write]), ...(Object.keys(data).length > 0 ? { data } : undefined), forms }
  }

  #forms(operation: Operation, op: FormPurpose['op'], contentType: string, observes = false): readonly JsonSchema[] {
    const query = this.#query(operation).map(({ name }) => name)
    const security = this.security.member(operation.security)
    const forms = formsOf(operation.template, { op, method: operation.method, observes, contentType, query, security }, this.#description)
    if (forms.length === 0) this.omissions.add(labelOf(operation), 'MQTT needs a user property for this method, which a form cannot say')
    return forms
  }

  #answer(operation: Operation): JsonSchema {
    const { contract, answer, isRepresentation } = operation
    const whole =
      contract !== undefined && answer !== undefined && isRepresentation
        ? representationOf(contract, answer, this.#components, labelOf(operation))
        : undefined
    return whole === undefined ? this.#data(answer, 'output', operation) : dataSchemaOf(whole, this.omissions, labelOf(operation))
  }

  #data(schema: Operation['input'], side: 'input' | 'output', operation: Operation): JsonSchema {
    const of = labelOf(operation)
    const plain = schema === undefined ? undefined : this.#components.plain(schema, side, of)
    return plain === undefined ? {} : dataSchemaOf(plain, this.omissions, of)
  }

  #texts({ title, description }: Operation): JsonSchema {
    return { ...(title === undefined ? undefined : { title }), ...(description === undefined ? undefined : { description }) }
  }

  #query({ query, method, template, subject }: Operation): ReturnType<typeof membersOf> {
    const taken = template.parameters.map(({ name }) => name)
    return membersOf(query, 'input', this.#components, subject, `${method} ${template.text}`).filter(
      ({ name }) => !taken.includes(name) && /^\w+$/.test(name)
    )
  }

  #uriVariables(operations: readonly Operation[]): JsonSchema {
    const [first] = operations as [Operation]
    const of = labelOf(first)
    const params = membersOf(first.params, 'input', this.#components, first.subject, of)
    const inPath = first.template.parameters.map(parameter => {
      const member = params.find(({ name }) => name === parameter.key)
      return [parameter.name, withPattern(member?.schema, parameter)] as const
    })
    const inQuery = operations.flatMap(operation => this.#query(operation).map(({ name, schema }) => [name, schema] as const))
    const variables = [...inPath, ...inQuery].map(([name, schema]) => [name, dataSchemaOf(schema, this.omissions, of)] as const)
    return variables.length === 0 ? {} : { uriVariables: Object.fromEntries(variables) }
  }
}
