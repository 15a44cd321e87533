//! Tokens to statements (Lua 5.1 reference manual, 2.4); `expressions` has what is in them.
//!
//! Invariant: what is parsed is nested at most [`LEVELS_MAX`] deep, chains of operators and calls included. `tall` bounds the height of what
//! was built since the innermost [`Parser::nest`] began.

use std::rc::Rc;

use bytes::Bytes;

use super::ast::{Block, Body, Counting, Expr, Kind, Place, Statement};
use super::lexer::{Lexer, SyntaxError, Token, shown};
use super::number;
use super::scopes::Scopes;

pub(super) type Parsed<T> = Result<T, SyntaxError>;

/// The body of the function that a text is.
///
/// # Errors
///
/// With what is wrong, and where.
pub(super) fn parse(source: &[u8]) -> Parsed<Body> {
    let mut parser = Parser::new(source)?;
    parser.scopes.open(true);
    let block = parser.block()?;
    if parser.token != Token::End {
        return parser.unexpected("'<eof>' expected");
    }
    Ok(parser.scopes.close(Vec::new(), block))
}

pub(super) struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) token: Token,
    /// Of `token`.
    pub(super) line: u32,
    /// Of the one before.
    pub(super) last_line: u32,
    depth: u32,
    tall: u32,
    pub(super) scopes: Scopes,
}

impl<'a> Parser<'a> {
    fn new(source: &'a [u8]) -> Parsed<Self> {
        let mut lexer = Lexer::new(source);
        let token = lexer.next()?;
        Ok(Self {
            line: lexer.line(),
            last_line: 1,
            lexer,
            token,
            depth: 0,
            tall: 0,
            scopes: Scopes::default(),
        })
    }

    pub(super) fn advance(&mut self) -> Parsed<Token> {
        let next = self.lexer.next()?;
        self.last_line = std::mem::replace(&mut self.line, self.lexer.line());
        Ok(std::mem::replace(&mut self.token, next))
    }

    pub(super) fn error<T>(&self, text: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError {
            line: self.line,
            text: text.into(),
        })
    }

    pub(super) fn unexpected<T>(&self, what: &str) -> Parsed<T> {
        let near = match &self.token {
            Token::Name(text) | Token::Text(text) => shown(text),
            Token::Number(number) => number::show(*number),
            Token::Mark(mark) => (*mark).to_owned(),
            Token::End => "<eof>".to_owned(),
        };
        self.error(format!("{what} near '{near}'"))
    }

    pub(super) fn is(&self, mark: &str) -> bool {
        matches!(&self.token, Token::Mark(found) if *found == mark)
    }

    pub(super) fn accept(&mut self, mark: &str) -> Parsed<bool> {
        let is = self.is(mark);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    pub(super) fn expect(&mut self, mark: &str) -> Parsed<()> {
        match self.accept(mark)? {
            true => Ok(()),
            false => self.unexpected(&format!("'{mark}' expected")),
        }
    }

    /// The end of what began with `opening`.
    pub(super) fn expect_end(&mut self, mark: &str, opening: &str, line: u32) -> Parsed<()> {
        match self.accept(mark)? {
            true => Ok(()),
            false if line == self.line => self.unexpected(&format!("'{mark}' expected")),
            false => self.unexpected(&format!(
                "'{mark}' expected (to close '{opening}' at line {line})"
            )),
        }
    }

    pub(super) fn name(&mut self) -> Parsed<Bytes> {
        match self.token {
            Token::Name(_) => match self.advance()? {
                Token::Name(name) => Ok(name),
                _ => self.unexpected("<name> expected"),
            },
            _ => self.unexpected("<name> expected"),
        }
    }

    /// Parses a part that is one level deeper.
    pub(super) fn nest<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let outside = std::mem::take(&mut self.tall);
        self.depth += 1;
        if self.depth > LEVELS_MAX {
            return self.error("chunk has too many syntax levels");
        }
        let parsed = parse(self)?;
        self.depth -= 1;
        self.grow()?;
        self.tall = self.tall.max(outside);
        Ok(parsed)
    }

    /// What was built becomes a part of something.
    pub(super) fn grow(&mut self) -> Parsed<()> {
        self.tall += 1;
        match self.tall > LEVELS_MAX {
            true => self.error("chunk has too many syntax levels"),
            false => Ok(()),
        }
    }

    pub(super) fn block(&mut self) -> Parsed<Block> {
        let mut statements = Vec::new();
        loop {
            let ends = matches!(
                self.token,
                Token::End | Token::Mark("end" | "else" | "elseif" | "until")
            );
            if ends {
                return Ok(statements);
            }
            let line = self.line;
            let kind = self.nest(Self::statement)?;
            let is_last = matches!(kind, Kind::Return(_) | Kind::Break);
            statements.push(Statement { line, kind });
            self.accept(";")?;
            if is_last {
                return Ok(statements);
            }
        }
    }

    /// A block with variables of its own.
    fn scoped_block(&mut self) -> Parsed<Block> {
        let mark = self.scopes.begin_block();
        let block = self.nest(Self::block)?;
        self.scopes.end_block(mark);
        Ok(block)
    }

    fn statement(&mut self) -> Parsed<Kind> {
        let line = self.line;
        let Token::Mark(mark) = self.token else {
            return self.expression_statement();
        };
        match mark {
            "if" => self.if_statement(line),
            "while" => {
                self.advance()?;
                let condition = self.expression()?;
                self.expect("do")?;
                let block = self.looped(Self::scoped_block)?;
                self.expect_end("end", "while", line)?;
                Ok(Kind::While(condition, block))
            }
            "do" => {
                self.advance()?;
                let block = self.scoped_block()?;
                self.expect_end("end", "do", line)?;
                Ok(Kind::Do(block))
            }
            "for" => self.for_statement(line),
            "repeat" => self.repeat_statement(line),
            "function" => self.function_statement(line),
            "local" => self.local_statement(),
            "return" => {
                self.advance()?;
                let ends = matches!(
                    self.token,
                    Token::End | Token::Mark("end" | "else" | "elseif" | "until" | ";")
                );
                let values = if ends { Vec::new() } else { self.expressions()? };
                Ok(Kind::Return(values))
            }
            "break" => {
                self.advance()?;
                match self.scopes.is_in_loop() {
                    true => Ok(Kind::Break),
                    false => self.unexpected("no loop to break"),
                }
            }
            _ => self.expression_statement(),
        }
    }

    fn looped<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.scopes.begin_loop();
        let parsed = parse(self);
        self.scopes.end_loop();
        parsed
    }

    fn if_statement(&mut self, line: u32) -> Parsed<Kind> {
        let mut cases = Vec::new();
        loop {
            self.advance()?;
            let condition = self.expression()?;
            self.expect("then")?;
            cases.push((condition, self.scoped_block()?));
            if !self.is("elseif") {
                break;
            }
        }
        let otherwise = match self.accept("else")? {
            true => self.scoped_block()?,
            false => Vec::new(),
        };
        self.expect_end("end", "if", line)?;
        Ok(Kind::If(cases, otherwise))
    }

    fn repeat_statement(&mut self, line: u32) -> Parsed<Kind> {
        self.advance()?;
        let mark = self.scopes.begin_block();
        let block = self.looped(|parser| parser.nest(Self::block))?;
        self.expect_end("until", "repeat", line)?;
        // The condition sees the variables of the block.
        let condition = self.expression()?;
        self.scopes.end_block(mark);
        Ok(Kind::Repeat(block, condition))
    }

    fn for_statement(&mut self, line: u32) -> Parsed<Kind> {
        self.advance()?;
        let name = self.name()?;
        let kind = if self.accept("=")? {
            self.counting(name)?
        } else if self.is(",") || self.is("in") {
            self.iterating(name)?
        } else {
            return self.unexpected("'=' or 'in' expected");
        };
        self.expect_end("end", "for", line)?;
        Ok(kind)
    }

    fn counting(&mut self, name: Bytes) -> Parsed<Kind> {
        let first = self.expression()?;
        self.expect(",")?;
        let last = self.expression()?;
        let step = match self.accept(",")? {
            true => Some(self.expression()?),
            false => None,
        };
        self.expect("do")?;
        let mark = self.scopes.begin_block();
        let place = self.declare(name)?;
        let block = self.looped(Self::scoped_block)?;
        self.scopes.end_block(mark);
        Ok(Kind::For(Box::new(Counting {
            place,
            first,
            last,
            step,
            block,
        })))
    }

    fn iterating(&mut self, name: Bytes) -> Parsed<Kind> {
        let mut names = vec![name];
        while self.accept(",")? {
            names.push(self.name()?);
        }
        self.expect("in")?;
        let values = self.expressions()?;
        self.expect("do")?;
        let mark = self.scopes.begin_block();
        let places = names.into_iter().map(|name| self.declare(name));
        let places = places.collect::<Parsed<_>>()?;
        let block = self.looped(Self::scoped_block)?;
        self.scopes.end_block(mark);
        Ok(Kind::ForIn(places, values, block))
    }

    pub(super) fn declare(&mut self, name: Bytes) -> Parsed<Place> {
        match self.scopes.declare(name) {
            Some(place) => Ok(place),
            None => self.unexpected("too many local variables"),
        }
    }

    fn local_statement(&mut self) -> Parsed<Kind> {
        self.advance()?;
        let line = self.line;
        if self.accept("function")? {
            let name = self.name()?;
            let place = self.declare(name)?;
            let body = self.function(false, line)?;
            return Ok(Kind::LocalFunction(place, Rc::new(body)));
        }
        let mut names = vec![self.name()?];
        while self.accept(",")? {
            names.push(self.name()?);
        }
        let values = match self.accept("=")? {
            true => self.expressions()?,
            false => Vec::new(),
        };
        let places = names.into_iter().map(|name| self.declare(name));
        Ok(Kind::Local(places.collect::<Parsed<_>>()?, values))
    }

    fn function_statement(&mut self, line: u32) -> Parsed<Kind> {
        self.advance()?;
        let name = self.name()?;
        let mut target = self.variable(name);
        let mut is_method = false;
        while !is_method && (self.is(".") || self.is(":")) {
            is_method = self.is(":");
            let line = self.line;
            self.advance()?;
            let field = Expr::Text(self.name()?);
            target = Expr::Index(Box::new((target, field)), line);
            self.grow()?;
        }
        let body = self.function(is_method, line)?;
        Ok(Kind::Assign(vec![target], vec![Expr::Function(Rc::new(body))]))
    }

    fn expression_statement(&mut self) -> Parsed<Kind> {
        let first = self.suffixed()?;
        if matches!(first, Expr::Call(_)) {
            return Ok(Kind::Call(first));
        }
        let mut targets = vec![first];
        while self.accept(",")? {
            targets.push(self.nest(Self::suffixed)?);
        }
        let are_places = targets.iter().all(|target| {
            matches!(
                target,
                Expr::Local(..) | Expr::Upvalue(..) | Expr::Global(..) | Expr::Index(..)
            )
        });
        if !are_places {
            return self.unexpected("syntax error");
        }
        self.expect("=")?;
        Ok(Kind::Assign(targets, self.expressions()?))
    }

    /// The parameters and the body of a function, behind its name.
    pub(super) fn function(&mut self, is_method: bool, line: u32) -> Parsed<Body> {
        self.expect("(")?;
        self.scopes.open(false);
        let mut parameters = Vec::new();
        if is_method {
            parameters.push(self.declare(Bytes::from_static(b"self"))?);
        }
        while !self.is(")") {
            if self.accept("...")? {
                self.scopes.take_rest();
                break;
            }
            let name = self.name()?;
            parameters.push(self.declare(name)?);
            if !self.accept(",")? {
                break;
            }
            if self.is(")") {
                return self.unexpected("<name> expected");
            }
        }
        self.expect(")")?;
        let block = self.nest(Self::block)?;
        self.expect_end("end", "function", line)?;
        Ok(self.scopes.close(parameters, block))
    }

    pub(super) fn variable(&mut self, name: Bytes) -> Expr {
        self.scopes.resolve(name, self.last_line)
    }
}

/// As in Lua (`LUAI_MAXCCALLS`).
const LEVELS_MAX: u32 = 200;
