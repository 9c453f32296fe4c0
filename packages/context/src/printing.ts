/** What of a context is printed. */
interface Printed {
  readonly 'iopa.Id': number
  readonly 'iopa.Method': string
  readonly 'iopa.PathBase': string
  readonly 'iopa.Path': string
  readonly 'iopa.Protocol': string
  readonly 'iopa.Route': string
  readonly 'server.RemoteAddress': string
  readonly response: { readonly status: number }
}

const members: ThisType<Printed> = {
  /** Method and path, for logs. */
  toString(): string {
    return lineOf(this)
  },

  [Symbol.toPrimitive](): string {
    return lineOf(this)
  },

  /** The eager keys, for logs; without bodies, headers or extension keys, which may hold secrets. */
  toJSON(): Record<string, unknown> {
    return {
      'iopa.Id': this['iopa.Id'],
      'iopa.Method': this['iopa.Method'],
      'iopa.PathBase': this['iopa.PathBase'],
      'iopa.Path': this['iopa.Path'],
      'iopa.Protocol': this['iopa.Protocol'],
      'iopa.Route': this['iopa.Route'],
      'iopa.StatusCode': this.response.status,
      'server.RemoteAddress': this['server.RemoteAddress']
    }
  },

  // Node's console and test runners print with this method; without it they would list accessors of a null prototype.
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Context ${lineOf(this)} ${this['iopa.Protocol']} ${this.response.status || ''}`.trimEnd()
  }
}

const lineOf = (context: Printed): string => printable(`${context['iopa.Method']} ${context['iopa.PathBase']}${context['iopa.Path']}`)

/** A line break that a peer has put into its path must not begin a line of a log. */
const printable = (text: string): string => text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]/g, encodeURIComponent)

/** Puts on the prototype of the property bag how it is printed. */
export const addPrinting = (prototype: object): void => {
  for (const name of Reflect.ownKeys(members)) {
    const descriptor = Object.getOwnPropertyDescriptor(members, name) as PropertyDescriptor
    Object.defineProperty(prototype, name, { ...descriptor, enumerable: false })
  }
}
