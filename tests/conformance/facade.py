"""Facades: modules with asyncio's names that answer from yieldloop, and stand in `sys.modules` in asyncio's place.

What lives here: the rule which object a name means. What may not: any implementation of asyncio; a facade only looks up.

The rule for `asyncio.sub.name`, first hit wins:
  1. a name that is a submodule: its facade;
  2. the twins that CPython keeps of one thing (`_PyTask`, `_CTask`, `_py_all_tasks`, ...): what the plain name means, so that
     the tests of both twins run on our one class;
  3. a public name that yieldloop has of its own: yieldloop's;
  4. everything else: the stock module's, looked up at each access because tests change such names.
Rule for the editor: `borrowed` lists what case 4 answers of the public names beyond what is shared on purpose, and fails the run.
"""

import sys
import types

# Public names that are the standard library's own object in yieldloop too, on purpose. Anything else that a facade would
# answer from the standard library is borrowed: its tests would pass on stock code, so the run must fail.
SHARED = {
    "interfaces and exceptions": """AbstractEventLoop AbstractEventLoopPolicy AbstractServer BaseProtocol BaseTransport
        BrokenBarrierError BufferedProtocol CancelledError DatagramProtocol DatagramTransport IncompleteReadError
        InvalidStateError LimitOverrunError Protocol QueueEmpty QueueFull QueueShutDown ReadTransport
        SendfileNotAvailableError SubprocessProtocol SubprocessTransport TimeoutError Transport WriteTransport""",
    "strings": "ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION",
    "the registries of running loop, current task, all tasks and policy, one for the whole process": """_enter_task
        _get_running_loop _leave_task _register_task _set_running_loop _unregister_task _swap_current_task all_tasks
        current_task get_event_loop get_running_loop set_event_loop get_event_loop_policy set_event_loop_policy
        DefaultEventLoopPolicy""",
    "watchers of children, which nobody needs here": """AbstractChildWatcher FastChildWatcher MultiLoopChildWatcher
        PidfdChildWatcher SafeChildWatcher ThreadedChildWatcher get_child_watcher set_child_watcher""",
}
TWINS = ("_Py", "_C", "_py_", "_c_")
KEPT = ("__", "_facade_")


# Registries of which a Python keeps two, the one that asyncio uses and one for its pure-Python twin: ours is the one in use.
REGISTRIES = ("all_tasks", "current_task", "enter_task", "leave_task", "register_task", "swap_current_task", "unregister_task")


def untwinned(name):
    """Return what a name like `_PyTask` or `_c_all_tasks` is a twin of, or *name* itself."""
    for prefix in TWINS:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


class Facade(types.ModuleType):
    """One module of asyncio as the tests see it."""

    def __init__(self, stock, house):
        super().__init__(stock.__name__, stock.__doc__)
        for name in ("__path__", "__file__", "__spec__", "__package__", "__all__"):
            if hasattr(stock, name):
                self.__dict__[name] = getattr(stock, name)
        self.__dict__["_facade_stock"] = stock
        self.__dict__["_facade_house"] = house
        self.__dict__["_facade_set"] = {}

    def __getattr__(self, name):
        changed = self._facade_set
        if name in changed:
            return changed[name]
        return self._facade_house.look_up(self._facade_stock, name)

    def __setattr__(self, name, value):
        """A test patches a name: the facade shows the new value, and so does the stock module unless the name is ours."""
        if name.startswith(KEPT):
            super().__setattr__(name, value)
        elif self._facade_house.is_ours(self._facade_stock, name):
            self._facade_set[name] = value
        else:
            self._facade_house.remember(self._facade_stock, name)
            setattr(self._facade_stock, name, value)

    def __delattr__(self, name):
        """`mock.patch` deletes what it has set: the name means again what it meant before."""
        if name in self._facade_set:
            del self._facade_set[name]
        else:
            self._facade_house.restore(self._facade_stock, name)

    def __dir__(self):
        return sorted({*dir(self._facade_stock), *self.__dict__})


class House:
    """All facades together, and the rule that they share."""

    def __init__(self, ours, stock, loops):
        self.ours = ours
        self.root = sys.modules["asyncio"]
        self.loops = loops
        self.originals = {}
        self.facades = {id(module): Facade(module, self) for module in [self.root, *stock.values()]}
        self.public = {name for name in {*self.root.__all__, *getattr(ours, "__all__", ())} if self.own(name) is not None}

    def own(self, name):
        """Return yieldloop's object of that public name if it is not simply the standard library's, else None."""
        # Some are imported when they are asked for.
        named = name in vars(self.ours) or name in getattr(self.ours, "__all__", ())
        found = getattr(self.ours, name, None) if named else None
        return None if found is None or found is getattr(self.root, name, None) else found

    def own_in(self, stock, name):
        """Return the object of that name in yieldloop's submodule of the same name as `stock`, if it has one, else None."""
        submodule = self.own(stock.__name__.removeprefix("asyncio."))
        if not isinstance(submodule, types.ModuleType) or name not in getattr(submodule, "__all__", ()):
            return None
        found = getattr(submodule, name)
        return None if found is getattr(stock, name, None) else found

    def meaning(self, stock, name):
        """Return the public name that `name` in `stock` stands for if that is ours, else None."""
        plain = untwinned(name)
        if plain != name and plain in self.public and hasattr(stock, name):
            return plain
        if name not in self.public or name == "BaseEventLoop":
            return None
        if stock is self.root or name in vars(stock):
            return name
        return None

    def is_ours(self, stock, name):
        return self.meaning(stock, name) is not None or self.own_in(stock, name) is not None

    def look_up(self, stock, name):
        """Answer `stock.name` by the rule in this file's head; AttributeError as the stock module would raise it."""
        plain = self.meaning(stock, name)
        if plain is not None:
            return self.own(plain)
        found = self.own_in(stock, name)
        if found is not None:
            return found
        found = getattr(stock, name)
        shared = untwinned(name)
        if shared != name and shared in REGISTRIES:
            return getattr(stock, shared, None) or getattr(stock, "_" + shared)
        if isinstance(found, types.ModuleType):
            return self.facades.get(id(found), found)
        return found

    def remember(self, stock, name):
        if hasattr(stock, name):
            self.originals.setdefault((id(stock), name), getattr(stock, name))

    def restore(self, stock, name):
        if (id(stock), name) in self.originals:
            setattr(stock, name, self.originals[id(stock), name])
        else:
            delattr(stock, name)

    def borrowed(self):
        """Return the public names that would be answered by the standard library's code and are not SHARED, sorted."""
        shared = {name for names in SHARED.values() for name in names.split()}
        stock = {name for name in set(self.root.__all__) - self.public
                 if (getattr(getattr(self.root, name, None), "__module__", None) or "asyncio").startswith(("asyncio", "_asyncio"))}
        return sorted(stock - shared)


def install(ours, stock, loops):
    """Put the facades in the stock modules' place. To be called before unittest, mock or a test is imported."""
    house = House(ours, stock, loops)
    for module in [house.root, *stock.values()]:
        sys.modules[module.__name__] = house.facades[id(module)]
    return house
